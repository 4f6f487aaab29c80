import type { Answer, Database, OrgTx } from '../../platform/database/database.ts';
import type { Idempotent } from '../../platform/database/idempotency.ts';
import { invalid, notFound } from '../../platform/errors.ts';
import { decodeCursor, type Page, pageFrom } from '../../platform/http/page.ts';
import { newId } from '../../platform/ids.ts';
import type { Principal, Role } from '../../platform/principal.ts';
import { hashSecret, newSecret } from './secret.ts';
import { viewApiKey } from './views.ts';

export interface NewApiKey {
  readonly name: string;
  readonly role: Role;
  readonly memberId: string | null;
  readonly loopId: string | null;
  readonly expiresAt: Date | null;
}

type ApiKeyView = ReturnType<typeof viewApiKey>;

/** API keys: created with their secret shown once, listed without it, revoked for good. */
export class ApiKeyService {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** @throws Problem 404 for a member or loop that the org does not have; 422 `expiry_past`. */
  async create(
    principal: Principal,
    input: NewApiKey,
    idempotent: Idempotent | null,
  ): Promise<Answer<ApiKeyView & { secret: string }>> {
    return this.#db.create(principal, idempotent, async (tx) => {
      await checkBindings(tx, input);
      return { status: 201, body: await insertApiKey(tx, input) };
    });
  }

  async list(principal: Principal, query: { limit: number; cursor?: string | undefined }): Promise<Page<ApiKeyView>> {
    const after = decodeCursor(query.cursor, 'uuid');
    return this.#db.read(principal, async (tx) => {
      const rows = await tx.db.apiKey.findMany({
        where: { orgId: tx.orgId, ...(after === null ? {} : { id: { gt: String(after[0]) } }) },
        orderBy: { id: 'asc' },
        take: query.limit + 1,
      });
      return pageFrom(rows, query.limit, viewApiKey, (row) => [row.id]);
    });
  }

  /** Revoking twice is the same as once. @throws Problem 404 */
  async revoke(principal: Principal, id: string): Promise<ApiKeyView> {
    return this.#db.write(principal, async (tx) => {
      const where = { orgId_id: { orgId: tx.orgId, id } };
      const key = await tx.db.apiKey.findUnique({ where });
      if (key === null) throw notFound('API key');
      if (key.revokedAt !== null) return viewApiKey(key);
      const revoked = await tx.db.apiKey.update({ where, data: { revokedAt: tx.now } });
      tx.emit({ kind: 'api_key.revoked', subject: { kind: 'api_key', id }, data: { name: key.name } });
      return viewApiKey(revoked);
    });
  }
}

/** Inserts a key and returns its view with the secret, which exists nowhere else afterwards. */
export async function insertApiKey(tx: OrgTx, input: NewApiKey): Promise<ApiKeyView & { secret: string }> {
  const secret = newSecret();
  const { name, role, memberId, loopId, expiresAt } = input;
  const key = await tx.db.apiKey.create({
    data: {
      orgId: tx.orgId,
      id: newId(),
      name,
      role,
      memberId,
      loopId,
      expiresAt,
      hash: hashSecret(secret),
      createdAt: tx.now,
    },
  });
  const data = { name, role, memberId, loopId, expiresAt: expiresAt?.toISOString() ?? null };
  tx.emit({ kind: 'api_key.created', subject: { kind: 'api_key', id: key.id }, data });
  return { ...viewApiKey(key), secret };
}

async function checkBindings(tx: OrgTx, input: NewApiKey): Promise<void> {
  if (input.expiresAt !== null && input.expiresAt <= tx.now)
    throw invalid('expiry_past', 'expiresAt lies in the past.');
  if (input.memberId !== null) {
    const member = await tx.db.member.findUnique({ where: { orgId_id: { orgId: tx.orgId, id: input.memberId } } });
    if (member === null) throw notFound('member');
  }
  if (input.loopId !== null) {
    const loop = await tx.db.loop.findUnique({ where: { orgId_id: { orgId: tx.orgId, id: input.loopId } } });
    if (loop === null) throw notFound('loop');
  }
}
