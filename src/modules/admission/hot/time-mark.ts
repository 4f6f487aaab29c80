import { randomBytes } from 'node:crypto';

/**
 * Stands for a time in an event's content until the database puts it in. Nobody who writes a text that ends up there can
 * know it: a new random one for each server, which never leaves for anywhere but the database.
 */
export const MARK = `~${randomBytes(18).toString('base64url')}+`;

export function timeMark(seconds: number): string {
  return `${MARK}${seconds}~`;
}

/** Of a mark, how many seconds after the commit it stands for; null for a time that is written out. */
export function secondsMarked(time: string): number | null {
  return time.startsWith(MARK) ? Number(time.slice(MARK.length, -1)) : null;
}
