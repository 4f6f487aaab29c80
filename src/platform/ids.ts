import { randomFillSync } from 'node:crypto';
import { v7, validate } from 'uuid';

/** Random bytes are drawn in bulk: a call into the system's generator costs more than the rest of an id. */
const POOL_BYTES = 4096;
const ID_BYTES = 16;
const pool = Buffer.alloc(POOL_BYTES);
let used = POOL_BYTES;

function randomBytes(): Uint8Array {
  if (used === POOL_BYTES) {
    randomFillSync(pool);
    used = 0;
  }
  used += ID_BYTES;
  return pool.subarray(used - ID_BYTES, used);
}

/** Where an id is made. Written as text by the one native call for it: the library's own way takes longer than all the rest. */
const bytes = Buffer.alloc(ID_BYTES);

let latestMs = 0;
let sequence = 0;

/** A new id: UUID version 7, so that ids made later sort later and fill an index from its end, also within a millisecond. */
export function newId(): string {
  const random = randomBytes();
  const nowMs = Date.now();
  if (nowMs > latestMs) {
    latestMs = nowMs;
    // Room to count up from for the rest of the millisecond.
    sequence = ((random[0]! << 16) | (random[1]! << 8) | random[2]!) >>> 0;
  } else {
    sequence += 1;
  }
  const hex = v7({ random, msecs: latestMs, seq: sequence }, bytes).toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** True for the text of any UUID, in either case; says nothing about what it names. */
export function isUuid(value: string): boolean {
  return validate(value);
}
