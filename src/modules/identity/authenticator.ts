import type pg from 'pg';
import type { Clock } from '../../platform/clock.ts';
import type { Database } from '../../platform/database/database.ts';
import { unauthenticated } from '../../platform/errors.ts';
import { type Principal, type Role, systemPrincipal } from '../../platform/principal.ts';
import { RecentMap } from '../../platform/recent-map.ts';
import { hashSecret, looksLikeSecret } from './secret.ts';

const CACHE_SIZE = 10_000;
const CACHE_MS = 30_000;
const USE_RECORDED_EVERY_MS = 60_000;

interface KeyRow {
  org_id: string;
  id: string;
  role: Role;
  member_id: string | null;
  loop_id: string | null;
  expires_at: Date | null;
  revoked_at: Date | null;
}

interface Verified {
  readonly principal: Principal;
  readonly expiresAt: Date | null;
  readonly until: number;
}

/**
 * Turns a bearer token into a principal. What a token stands for never changes, so it is cached; whether the key is
 * still valid is asked again by `enter_org` inside every transaction, so the cache can delay no revocation.
 */
export class Authenticator {
  readonly #pool: pg.Pool;
  readonly #db: Database;
  readonly #clock: Clock;
  readonly #cache = new RecentMap<Verified>(CACHE_SIZE);
  readonly #used = new Map<string, number>();

  constructor(pool: pg.Pool, db: Database, clock: Clock) {
    this.#pool = pool;
    this.#db = db;
    this.#clock = clock;
  }

  /** @throws Problem 401 for a token that is no key, or one revoked or expired. */
  async authenticate(token: string | null): Promise<Principal> {
    if (token === null) throw unauthenticated('Send an API key: Authorization: Bearer sbx_…');
    const cached = this.#cache.get(token);
    if (cached !== undefined && cached.until > this.#clock.monotonicMs() && !this.#isPast(cached.expiresAt))
      return cached.principal;
    return this.#lookUp(token);
  }

  async #lookUp(token: string): Promise<Principal> {
    this.#cache.delete(token);
    const row = looksLikeSecret(token) ? await this.#row(token) : undefined;
    if (row === undefined) throw unauthenticated('The API key is not known.');
    if (row.revoked_at !== null || this.#isPast(row.expires_at))
      throw unauthenticated('The API key is revoked or expired.');
    const principal = {
      orgId: row.org_id,
      keyId: row.id,
      role: row.role,
      memberId: row.member_id,
      loopId: row.loop_id,
    };
    this.#cache.set(token, { principal, expiresAt: row.expires_at, until: this.#clock.monotonicMs() + CACHE_MS });
    this.#recordUse(principal);
    return principal;
  }

  async #row(token: string): Promise<KeyRow | undefined> {
    const { rows } = await this.#pool.query<KeyRow>({
      name: 'lookup_api_key',
      text: 'SELECT * FROM lookup_api_key($1)',
      values: [Buffer.from(hashSecret(token))],
    });
    return rows[0];
  }

  #isPast(time: Date | null): boolean {
    return time !== null && time.getTime() <= this.#clock.now().getTime();
  }

  /** Last used, to the minute. Never waited for: losing one is better than a write on every request. */
  #recordUse({ orgId, keyId }: Principal): void {
    const now = this.#clock.monotonicMs();
    if (keyId === null || now - (this.#used.get(keyId) ?? Number.NEGATIVE_INFINITY) < USE_RECORDED_EVERY_MS) return;
    if (this.#used.size >= CACHE_SIZE) this.#used.clear();
    this.#used.set(keyId, now);
    this.#db
      .write(systemPrincipal(orgId), (tx) =>
        tx.db.apiKey.update({ where: { orgId_id: { orgId, id: keyId } }, data: { lastUsedAt: tx.now } }),
      )
      .catch(() => this.#used.delete(keyId));
  }
}
