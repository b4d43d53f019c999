// A page that shows Markdown as it is typed.  No SDK of Google's exists for
// Node.js: what a visitor is called comes in the platform's headers.
'use strict';
const fs = require('fs');
const http = require('http');
const path = require('path');
const { marked } = require('marked');

const LONGEST = 64 * 1024;
const page = fs.readFileSync(path.join(__dirname, 'page.html'), 'utf8');

// Whoever types it sees it alone; still nothing of it shall run.
const escape = (text) =>
  text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
marked.use({
  renderer: {
    html: (text) => escape(text),
    link: (href, title, text) =>
      /^https?:/.test(href) ? `<a href="${escape(href)}">${text}</a>` : text,
    image: (href, title, text) => text,
  },
});

function render(request, response) {
  const pieces = [];
  let size = 0;
  request.on('data', (piece) => {
    size += piece.length;
    if (size <= LONGEST) pieces.push(piece);
  });
  request.on('end', () => {
    if (size > LONGEST) return send(response, 413, 'text/plain', 'Too long.\n');
    const text = Buffer.concat(pieces).toString('utf8');
    send(response, 200, 'text/html', marked.parse(text));
  });
}

function send(response, status, type, body) {
  response.writeHead(status, {
    'Content-Type': `${type}; charset=utf-8`,
    'Content-Length': Buffer.byteLength(body),
  });
  response.end(body);
}

const server = http.createServer((request, response) => {
  const route = `${request.method} ${request.url.split('?')[0]}`;
  if (route === 'GET /') send(response, 200, 'text/html', page);
  else if (route === 'POST /render') render(request, response);
  else send(response, 404, 'text/plain', 'There is no such page.\n');
});

server.listen(process.env.PORT, '127.0.0.1');

// Requests that are under way are answered before the end.
process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
