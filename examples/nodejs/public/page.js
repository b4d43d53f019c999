'use strict';
const text = document.getElementById('text');
const shown = document.getElementById('shown');
let asked = 0;

// An older answer that arrives later counts no more.
async function show() {
  const mine = ++asked;
  const answer = await fetch('/render', { method: 'POST', body: text.value });
  const html = await answer.text();
  if (mine === asked) shown.innerHTML = answer.ok ? html : 'Too long.';
}

text.addEventListener('input', show);
show();
