import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { PACKAGE_ROOT } from '../../platform/package-root.ts';
import { ROLES, type Role } from '../../platform/principal.ts';

/** Which operations each role may call, by operation id. */
export type RoleTable = Readonly<Record<Role, ReadonlySet<string>>>;

const fileSchema = z.strictObject(
  Object.fromEntries(ROLES.map((role) => [role, z.array(z.string())])) as Record<Role, z.ZodArray<z.ZodString>>,
);

/** Reads policies/roles.yaml. @throws Error when it is not a list of operations for each role. */
export function readRoles(file = join(PACKAGE_ROOT, 'policies', 'roles.yaml')): RoleTable {
  const table = fileSchema.parse(parse(readFileSync(file, 'utf8')));
  return Object.fromEntries(ROLES.map((role) => [role, new Set(table[role])])) as unknown as RoleTable;
}

/**
 * Holds the table against the operations that exist: one that no role may call, or a name that is no operation, is a
 * mistake that must stop the start, not be found by a user.
 * @throws Error naming them all.
 */
export function checkRoles(roles: RoleTable, operations: ReadonlySet<string>): void {
  const named = new Set(ROLES.flatMap((role) => [...roles[role]]));
  const missing = [...operations].filter((operation) => !named.has(operation));
  const unknown = [...named].filter((operation) => !operations.has(operation));
  const faults = [
    ...(missing.length > 0 ? [`no role may call ${missing.join(', ')}`] : []),
    ...(unknown.length > 0 ? [`no such operation: ${unknown.join(', ')}`] : []),
  ];
  if (faults.length > 0) throw new Error(`policies/roles.yaml: ${faults.join('; ')}`);
}
