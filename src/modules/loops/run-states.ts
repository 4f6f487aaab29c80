/** Every status of a run. `finished` is the only last one; how it ended is the outcome. */
export const RUN_STATUSES = ['running', 'stalled', 'finished'] as const;
export type RunStatus = (typeof RUN_STATUSES)[number];

/**
 * How a run ended: its own word (`succeeded`, `failed`), someone's (`cancelled`), a guardrail's, budget's or halt's
 * (`stopped`), or nobody's (`abandoned`: it stalled and never came back).
 */
export const RUN_OUTCOMES = ['succeeded', 'failed', 'cancelled', 'stopped', 'abandoned'] as const;

/**
 * What happens to a run: it is heard of (`beat`), it was silent for too long (`stall`), it says that it is done
 * (`finish`), or it is given up for good (`abandon`).
 */
export const RUN_EVENTS = ['beat', 'stall', 'finish', 'abandon'] as const;
export type RunEvent = (typeof RUN_EVENTS)[number];

export type TransitionRefusal = 'run_finished' | 'run_not_stalled';
export type Transition = { ok: true; status: RunStatus } | { ok: false; code: TransitionRefusal };

const to = (status: RunStatus): Transition => ({ ok: true, status });
const refused = (code: TransitionRefusal): Transition => ({ ok: false, code });

/**
 * The whole life of a run. A stalled run may still finish, since the work was done and only the heartbeats were not;
 * a running one cannot be abandoned, since someone may be at work right now. Nothing leaves `finished`.
 */
const TRANSITIONS: { readonly [S in RunStatus]: { readonly [E in RunEvent]: Transition } } = {
  running: { beat: to('running'), stall: to('stalled'), finish: to('finished'), abandon: refused('run_not_stalled') },
  stalled: { beat: to('running'), stall: to('stalled'), finish: to('finished'), abandon: to('finished') },
  finished: {
    beat: refused('run_finished'),
    stall: refused('run_finished'),
    finish: refused('run_finished'),
    abandon: refused('run_finished'),
  },
};

/** The status after an event, or the code of the refusal. Check the epoch first. */
export function transition(status: RunStatus, event: RunEvent): Transition {
  return TRANSITIONS[status][event];
}

export type EpochCheck = { ok: true } | { ok: false; code: 'epoch_stale' | 'epoch_unknown' };

/**
 * Whether a caller speaks for the run as it is now. A lower epoch is a writer that was replaced; a higher one was
 * never given out. Both must change nothing: a late writer that is believed is worse than one that has to ask again.
 */
export function checkEpoch(current: number, claimed: number): EpochCheck {
  if (claimed === current) return { ok: true };
  return { ok: false, code: claimed < current ? 'epoch_stale' : 'epoch_unknown' };
}

/** What is stored of a run that its status is judged by. */
export interface RunLiveness {
  status: RunStatus;
  lastBeatAt: Date;
}

/** Whether a live run has been silent for `stallSeconds` or longer. */
export function isSilent(run: RunLiveness, now: Date, stallSeconds: number): boolean {
  return run.status !== 'finished' && now.getTime() - run.lastBeatAt.getTime() >= stallSeconds * 1000;
}

/**
 * The status as of now: a run that nobody has marked yet is stalled from the moment it has been silent for too long,
 * so that what is shown does not depend on when a sweep comes by.
 */
export function statusAt(run: RunLiveness, now: Date, stallSeconds: number): RunStatus {
  if (!isSilent(run, now, stallSeconds)) return run.status;
  const stalled = transition(run.status, 'stall');
  return stalled.ok ? stalled.status : run.status;
}
