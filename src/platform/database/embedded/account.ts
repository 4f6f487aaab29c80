import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { EmbeddedPostgresError } from './errors.ts';

/** Whom PostgreSQL runs as when this process is root, which it refuses to be. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

const PREFERRED = ['postgres', 'nobody', 'daemon'];

/**
 * The account for PostgreSQL's processes; null to run as whoever this process is. It must have a line in /etc/passwd,
 * which `initdb` insists on; none is created.
 * @param owner the owner of the data that is there already: once made, data stay with their account.
 */
export async function chooseAccount(owner: Account | null): Promise<Account | null> {
  if (process.getuid?.() !== 0) return null;
  if (owner !== null && owner.uid !== 0) return owner;
  const accounts = parsePasswd(await readFile('/etc/passwd', 'utf8'));
  for (const name of PREFERRED) {
    const account = accounts.get(name);
    if (account !== undefined && account.uid !== 0) return account;
  }
  throw new EmbeddedPostgresError(
    `PostgreSQL does not run as root, and there is none of the accounts ${PREFERRED.join(', ')} to run it as: start as an ordinary user, or set DATABASE_URL`,
  );
}

/** The accounts of a passwd file by name. */
export function parsePasswd(content: string): ReadonlyMap<string, Account> {
  const accounts = new Map<string, Account>();
  for (const line of content.split('\n')) {
    const [name, , uid, gid] = line.split(':');
    if (name === undefined || !/^\d+$/.test(uid ?? '') || !/^\d+$/.test(gid ?? '')) continue;
    accounts.set(name, { uid: Number(uid), gid: Number(gid) });
  }
  return accounts;
}

/** What of a directory's entry decides whether an account may pass through it. */
export interface Permissions {
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}

/** Whether an account (not root) may search this directory, or execute this file. The first class that fits decides. */
export function mayPass({ uid, gid, mode }: Permissions, account: Account): boolean {
  if (uid === account.uid) return (mode & 0o100) !== 0;
  if (gid === account.gid) return (mode & 0o010) !== 0;
  return (mode & 0o001) !== 0;
}

/** Whether the account can reach an absolute path: every directory on the way to it, and itself. */
export async function isReachable(target: string, account: Account | null): Promise<boolean> {
  if (account === null) return true;
  for (let at = target; ; at = path.dirname(at)) {
    if (!mayPass(await stat(at), account)) return false;
    if (at === path.dirname(at)) return true;
  }
}
