import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/** What every key starts with, so that scanners and our own logger can tell a leaked one. */
const PREFIX = 'sbx_';
const FORM = /^sbx_[A-Za-z0-9_-]{43}$/;

/** A new secret: 256 random bits. Shown once; only its hash is kept. */
export function newSecret(): string {
  return PREFIX + randomBytes(32).toString('base64url');
}

/** Whether a token could be one of ours at all; what could not never reaches the database. */
export function looksLikeSecret(token: string): boolean {
  return FORM.test(token);
}

/** SHA-256. A slow hash would buy nothing: the secret is 256 random bits, not a password. */
export function hashSecret(secret: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(createHash('sha256').update(secret).digest());
}

/** Equality in constant time, of any two texts. */
export function sameSecret(a: string, b: string): boolean {
  return timingSafeEqual(hashSecret(a), hashSecret(b));
}
