<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Fingerprints</title>
<link rel="stylesheet" href="/static/style.css">
</head>
<body>
<main>
<h1>Fingerprints <small>in PHP</small></h1>
<form class="card" method="post" action="/" enctype="multipart/form-data">
  <input type="file" name="file" required>
  <button>Take its fingerprint</button>
</form>
<?php if ($upload !== null): ?>
<dl class="card">
  <dt>File</dt><dd><?= htmlspecialchars($upload->name) ?></dd>
  <dt>Kind</dt><dd><?= htmlspecialchars($upload->kind) ?></dd>
  <dt>Size</dt><dd><?= number_format($upload->bytes) ?> bytes</dd>
  <dt>SHA-256</dt><dd><code><?= $upload->sha256 ?></code></dd>
</dl>
<?php elseif (http_response_code() === 400): ?>
<p class="card">No file came, or it was larger than 32 MB.</p>
<?php endif ?>
</main>
</body>
</html>
