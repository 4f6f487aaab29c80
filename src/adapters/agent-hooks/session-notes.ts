import { RecentMap } from '../../platform/recent-map.ts';
import { createScrubber } from '../../platform/redaction.ts';
import { quoted } from './advice.ts';
import type { Root } from './worktree.ts';

const SESSIONS = 10_000;
const PURPOSE_CHARACTERS = 200;

/** What this server remembers of sessions between their events; nothing that another server could not do without. */
export class SessionNotes {
  readonly #purposes = new RecentMap<string>(SESSIONS);
  readonly #reports = new RecentMap<Root>(SESSIONS);
  readonly #revoked = new RecentMap<true>(SESSIONS);
  readonly #scrub = createScrubber();

  /** The last prompt, as the purpose of what the session does next: others read it. Secrets that can be told are blanked. */
  prompted(session: string, prompt: string): void {
    const purpose = this.purposeFrom(prompt);
    if (purpose !== null) this.#purposes.set(session, purpose);
  }

  purposeOf(session: string): string | null {
    return this.#purposes.get(session) ?? null;
  }

  purposeFrom(text: string): string | null {
    const line = quoted(this.#scrub(text.slice(0, 4 * PURPOSE_CHARACTERS)), PURPOSE_CHARACTERS).slice(1, -1);
    return line === '' ? null : line;
  }

  /** Those of the revocations that the session has not been told here yet: from now on it has. */
  untold<R extends { readonly leaseId: string }>(session: string, revocations: readonly R[]): R[] {
    return revocations.filter(({ leaseId }) => {
      const key = `${session} ${leaseId}`;
      const isNew = this.#revoked.get(key) === undefined;
      this.#revoked.set(key, true);
      return isNew;
    });
  }

  /** A root reported while no run could start, as under a halt; kept for the run that starts later. */
  reported(session: string, root: Root): void {
    this.#reports.set(session, root);
  }

  takeReport(session: string): Root | undefined {
    const root = this.#reports.get(session);
    this.#reports.delete(session);
    return root;
  }
}
