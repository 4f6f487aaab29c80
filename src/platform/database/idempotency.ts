import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { canonicalDigest } from '../canonical.ts';
import { invalid } from '../errors.ts';
import { SYSTEM_ID } from '../principal.ts';
import type { OrgTx } from './org-tx.ts';

/** A POST that creates, as its Idempotency-Key makes it repeatable. */
export interface Idempotent {
  readonly key: string;
  /** The operation id: one key serves one operation. */
  readonly operation: string;
  /** SHA-256 over the request's parameters and body. */
  readonly fingerprint: Buffer;
  /**
   * Set when the answer holds a secret that is shown once: the caller's own bearer token, under which the kept answer is
   * encrypted. Whoever reads the table without that token learns nothing.
   */
  readonly sealWith?: string;
}

export interface Replay {
  readonly status: number;
  readonly body: unknown;
}

/** The request as the idempotency table compares it. */
export function fingerprintOf(request: { params: unknown; body: unknown }): Buffer {
  return canonicalDigest({ params: request.params, body: request.body });
}

export const idempotencyMismatch = () =>
  invalid('idempotency_mismatch', 'This Idempotency-Key was used with another request.');

/**
 * Takes the key for this transaction, or returns the answer that was kept. A concurrent transaction with the same key
 * blocks here until the first has committed or rolled back: that wait is the uniqueness constraint's.
 * @throws Problem 422 `idempotency_mismatch`
 */
export async function claim(tx: OrgTx, request: Idempotent): Promise<Replay | null> {
  const keyId = tx.principal.keyId ?? SYSTEM_ID;
  const taken = await tx.db.$executeRaw`
    INSERT INTO idempotency (org_id, key_id, key, operation, fingerprint, status, created_at)
    VALUES (${tx.orgId}::uuid, ${keyId}::uuid, ${request.key}, ${request.operation}, ${request.fingerprint}, 0, ${tx.now})
    ON CONFLICT DO NOTHING`;
  if (taken === 1) return null;
  const kept = await tx.db.idempotency.findUniqueOrThrow({
    where: { orgId_keyId_key: { orgId: tx.orgId, keyId, key: request.key } },
  });
  if (kept.operation !== request.operation || !request.fingerprint.equals(kept.fingerprint))
    throw idempotencyMismatch();
  const text = kept.sealed === null ? kept.response : unseal(Buffer.from(kept.sealed), request);
  if (text === null) throw idempotencyMismatch();
  return { status: kept.status, body: JSON.parse(text) };
}

/** Keeps the answer beside what it created, in the same transaction. */
export async function settle(tx: OrgTx, request: Idempotent, answer: Replay): Promise<void> {
  const keyId = tx.principal.keyId ?? SYSTEM_ID;
  const text = JSON.stringify(answer.body);
  const sealed = request.sealWith === undefined ? null : seal(text, request);
  await tx.db.idempotency.update({
    where: { orgId_keyId_key: { orgId: tx.orgId, keyId, key: request.key } },
    data: { status: answer.status, response: sealed === null ? text : null, sealed },
  });
}

function sealingKey(request: Idempotent): Buffer {
  return Buffer.from(hkdfSync('sha256', request.sealWith ?? '', request.key, 'signalbox idempotent answer', 32));
}

function seal(text: string, request: Idempotent): Uint8Array<ArrayBuffer> {
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', sealingKey(request), nonce);
  const sealed = Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]);
  return new Uint8Array(sealed);
}

/** Null when the token is not the one it was sealed with. */
function unseal(sealed: Buffer, request: Idempotent): string | null {
  const decipher = createDecipheriv('aes-256-gcm', sealingKey(request), sealed.subarray(0, 12));
  decipher.setAuthTag(sealed.subarray(-16));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()]).toString('utf8');
  } catch {
    return null;
  }
}
