<?php
declare(strict_types=1);

namespace Fingerprints;

/** One uploaded file, looked at and forgotten. */
final class Upload
{
    private function __construct(
        public readonly string $name,
        public readonly int $bytes,
        public readonly string $kind,
        public readonly string $sha256,
    ) {
    }

    /** Null when nothing came, or not all of it. */
    public static function from(?array $file): ?self
    {
        if ($file === null || $file['error'] !== UPLOAD_ERR_OK) {
            return null;
        }
        $kind = (new \finfo(FILEINFO_MIME_TYPE))->file($file['tmp_name']);
        return new self($file['name'], $file['size'], $kind,
            hash_file('sha256', $file['tmp_name']));
    }
}
