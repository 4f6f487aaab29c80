/** The roles of an API key, from the one that may do most to the one that may only look. */
export const ROLES = ['admin', 'member', 'loop', 'sre', 'viewer'] as const;
export type Role = (typeof ROLES)[number];

/**
 * Who acts: a member (through any of that member's keys), or a key bound to no member. `keyId` is null only for the
 * server itself acting inside an org (housekeeping, the first key of a new org).
 */
export interface Principal {
  readonly orgId: string;
  readonly keyId: string | null;
  readonly role: Role;
  readonly memberId: string | null;
  /** Set when the key is bound to one loop and may speak for no other. */
  readonly loopId: string | null;
}

/** The id that owns loops, votes once, and may not approve its own request: the member, else the key. */
export function principalId(principal: Principal): string {
  return principal.memberId ?? principal.keyId ?? SYSTEM_ID;
}

/** The nil UUID stands for the server itself in rows that name who did something. */
export const SYSTEM_ID = '00000000-0000-0000-0000-000000000000';

export function systemPrincipal(orgId: string): Principal {
  return { orgId, keyId: null, role: 'admin', memberId: null, loopId: null };
}

/** How the log names who acted. Keys in order: see `canonicalJson`. */
export function actorOf(principal: Principal): {
  id: string;
  keyId: string | null;
  kind: 'member' | 'key' | 'system';
  role: Role;
} {
  const kind = principal.memberId !== null ? 'member' : principal.keyId !== null ? 'key' : 'system';
  return { id: principalId(principal), keyId: principal.keyId, kind, role: principal.role };
}
