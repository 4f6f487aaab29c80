import { z } from 'zod';
import type { ApiKey, Member, Org, Team } from '../../generated/prisma/client.ts';
import { text, time, uuid } from '../../platform/http/schemas.ts';
import { ROLES, type Role } from '../../platform/principal.ts';
import { type OrgSettings, orgSettings, settingsOf } from './settings.ts';

export const slug = () =>
  z
    .string()
    .regex(/^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/, { error: 'expected 1 to 40 of a-z, 0-9 and inner hyphens' });

export const orgView = z
  .object({ id: uuid(), slug: slug(), name: z.string(), settings: orgSettings, createdAt: time() })
  .meta({ id: 'Org' });
export const memberView = z
  .object({ id: uuid(), name: z.string(), email: z.string(), createdAt: time() })
  .meta({ id: 'Member' });
export const teamView = z
  .object({ id: uuid(), name: z.string(), memberIds: z.array(uuid()), createdAt: time() })
  .meta({ id: 'Team' });

export const apiKeyView = z
  .object({
    id: uuid(),
    name: z.string(),
    role: z.enum(ROLES),
    memberId: uuid().nullable(),
    loopId: uuid().nullable(),
    createdAt: time(),
    expiresAt: time().nullable(),
    revokedAt: time().nullable(),
    lastUsedAt: time().nullable().describe('To the minute.'),
  })
  .meta({ id: 'ApiKey' });

/** The only answer that ever holds the secret. */
export const newApiKeyView = apiKeyView.extend({ secret: z.string() }).meta({ id: 'NewApiKey' });

export const name = () => text(200);

export function viewOrg(org: Org): z.output<typeof orgView> {
  const settings: OrgSettings = settingsOf(org.settings);
  return { id: org.id, slug: org.slug, name: org.name, settings, createdAt: org.createdAt.toISOString() };
}

export function viewMember(member: Member): z.output<typeof memberView> {
  return { id: member.id, name: member.name, email: member.email, createdAt: member.createdAt.toISOString() };
}

export function viewTeam(team: Team, memberIds: string[]): z.output<typeof teamView> {
  return { id: team.id, name: team.name, memberIds, createdAt: team.createdAt.toISOString() };
}

export function viewApiKey(key: Omit<ApiKey, 'hash'>): z.output<typeof apiKeyView> {
  return {
    id: key.id,
    name: key.name,
    role: key.role as Role,
    memberId: key.memberId,
    loopId: key.loopId,
    createdAt: key.createdAt.toISOString(),
    expiresAt: key.expiresAt?.toISOString() ?? null,
    revokedAt: key.revokedAt?.toISOString() ?? null,
    lastUsedAt: key.lastUsedAt?.toISOString() ?? null,
  };
}
