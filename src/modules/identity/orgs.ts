import { hkdfSync } from 'node:crypto';
import { stringify } from 'uuid';
import type { Answer, Database, OrgTx } from '../../platform/database/database.ts';
import type { Idempotent } from '../../platform/database/idempotency.ts';
import { sqlState, UNIQUE_VIOLATION } from '../../platform/database/sql-state.ts';
import { conflict, notFound } from '../../platform/errors.ts';
import { newId } from '../../platform/ids.ts';
import { type Principal, systemPrincipal } from '../../platform/principal.ts';
import { insertApiKey } from './api-keys.ts';
import { type OrgSettings, settingsOf } from './settings.ts';
import { viewOrg } from './views.ts';

export interface NewOrg {
  readonly slug: string;
  readonly name: string;
}

type Created = { org: ReturnType<typeof viewOrg>; apiKey: Awaited<ReturnType<typeof insertApiKey>> };

/** Orgs and their settings. */
export class OrgService {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /**
   * Creates an org with its head row and its first admin key.
   * @throws Problem 409 `slug_taken`
   */
  async create(input: NewOrg, idempotent: Idempotent | null): Promise<Answer<Created>> {
    try {
      return await this.#create(input, idempotent, idempotent === null ? newId() : idOf(idempotent));
    } catch (error) {
      // Somebody took the slug between our look and our insert: the second look finds that org. Or an org was made under
      // this key so long ago that the key is forgotten: then this is a new request.
      if (sqlState(error) !== UNIQUE_VIOLATION) throw error;
      return this.#create(input, idempotent, newId());
    }
  }

  async #create(input: NewOrg, idempotent: Idempotent | null, freshId: string): Promise<Answer<Created>> {
    const [taken] = await this.#db.lookup(
      (db) => db.$queryRaw<{ id: string | null }[]>`SELECT lookup_org(${input.slug})::text AS id`,
    );
    const existingId = taken?.id ?? null;
    const orgId = existingId ?? freshId;
    return this.#db.create(systemPrincipal(orgId), idempotent, async (tx) => {
      if (existingId !== null) throw conflict('slug_taken', `The slug ${input.slug} belongs to another org.`);
      return { status: 201, body: await insertOrg(tx, input) };
    });
  }

  async get(principal: Principal): Promise<ReturnType<typeof viewOrg>> {
    return this.#db.read(principal, async (tx) =>
      viewOrg(await tx.db.org.findUniqueOrThrow({ where: { id: tx.orgId } })),
    );
  }

  async settings(principal: Principal): Promise<OrgSettings> {
    return (await this.get(principal)).settings;
  }

  async patchSettings(
    principal: Principal,
    patch: { [K in keyof OrgSettings]?: OrgSettings[K] | undefined },
  ): Promise<OrgSettings> {
    return this.#db.write(principal, async (tx) => {
      const [row] = await tx.db.$queryRaw<
        { settings: object }[]
      >`SELECT settings FROM org WHERE org_id = ${tx.orgId}::uuid FOR UPDATE`;
      if (row === undefined) throw notFound('org');
      const settings = settingsOf({ ...row.settings, ...definedOf(patch) });
      await tx.db.org.update({ where: { id: tx.orgId }, data: { settings } });
      tx.emit({ kind: 'org.settings_changed', subject: { kind: 'org', id: tx.orgId }, data: { settings } });
      return settings;
    });
  }
}

/**
 * The id of the org that a request creates, the same for every request with this Idempotency-Key. Kept answers belong to
 * an org, and here there is none yet: two bodies under one key must meet in the same one to be told apart. Derived under
 * the root key, so that nobody else can foresee it. UUID version 8.
 */
function idOf({ key, sealWith = '' }: Idempotent): string {
  const bytes = new Uint8Array(hkdfSync('sha256', sealWith, key, 'signalbox org id', 16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x80;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return stringify(bytes);
}

async function insertOrg(tx: OrgTx, input: NewOrg): Promise<Created> {
  const org = await tx.db.org.create({
    data: { id: tx.orgId, slug: input.slug, name: input.name, settings: {}, createdAt: tx.now },
  });
  await tx.db.orgHead.create({ data: { orgId: tx.orgId, hash: new Uint8Array(32) } });
  tx.emit({
    kind: 'org.created',
    subject: { kind: 'org', id: tx.orgId },
    data: { slug: input.slug, name: input.name },
  });
  const apiKey = await insertApiKey(tx, {
    name: 'first admin key',
    role: 'admin',
    memberId: null,
    loopId: null,
    expiresAt: null,
  });
  return { org: viewOrg(org), apiKey };
}

function definedOf<T extends object>(patch: T): Partial<T> {
  return Object.fromEntries(Object.entries(patch).filter(([, value]) => value !== undefined)) as Partial<T>;
}
