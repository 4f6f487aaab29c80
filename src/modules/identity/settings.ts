import { z } from 'zod';

/** An org's settings with their defaults; the table keeps only what was set. */
export const orgSettings = z
  .strictObject({
    hooksFailOpen: z
      .boolean()
      .default(false)
      .describe(
        'What a hook answers for a path that no worktree root explains: true lets the agent proceed, false denies.',
      ),
    lockDelaySeconds: z
      .int()
      .min(0)
      .max(3600)
      .default(15)
      .describe('How long an expired lease stays closed to others.'),
    stallSeconds: z
      .int()
      .min(10)
      .max(86_400)
      .default(180)
      .describe('How long a run may be silent before it counts as stalled.'),
    holdSeconds: z
      .int()
      .min(0)
      .max(550)
      .default(20)
      .describe('How long an agent hook holds its answer open for a human.'),
  })
  .meta({ id: 'OrgSettings' });

export type OrgSettings = z.output<typeof orgSettings>;

/** What PATCH takes: any of them, none with a default. */
export const orgSettingsPatch = z.strictObject({
  hooksFailOpen: z.boolean().optional(),
  lockDelaySeconds: z.int().min(0).max(3600).optional(),
  stallSeconds: z.int().min(10).max(86_400).optional(),
  holdSeconds: z.int().min(0).max(550).optional(),
});

/** Settings as they stand, out of the stored JSON. */
export function settingsOf(stored: unknown): OrgSettings {
  return orgSettings.parse(stored ?? {});
}
