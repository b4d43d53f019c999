<?php
// What is in a file: its size, its kind, its fingerprint.  Google has no SDK
// for PHP; the platform's own limit for an upload is 32 MB.
declare(strict_types=1);

require __DIR__ . '/../vendor/autoload.php';

use Fingerprints\Upload;

header('Content-Type: text/html; charset=utf-8');
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
$upload = null;
if ($path !== '/') {
    http_response_code(404);
    exit('There is no such page.');
}
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    $upload = Upload::from($_FILES['file'] ?? null);
    if ($upload === null) {
        http_response_code(400);
    }
}
require __DIR__ . '/../src/page.php';
