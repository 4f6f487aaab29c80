import { z } from 'zod';

/** Events that Signalbox does something about; any other is answered with no opinion. */
export const EVENTS = [
  'SessionStart',
  'UserPromptSubmit',
  'PreToolUse',
  'PostToolUse',
  'PostToolUseFailure',
  'Stop',
  'SubagentStop',
  'SessionEnd',
] as const;
export type EventName = (typeof EVENTS)[number];

/** As PostgreSQL can keep it: whatever an agent wrote, it must be possible to record that it asked. */
export function storable(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\ufffd');
}

const text = (most: number, least = 0) => z.string().min(least).max(most).transform(storable);
const path = () => text(4096);

/** What every event says. Whatever else a release adds is ignored: it must not turn an answer into a refusal. */
const common = z.looseObject({
  session_id: text(200, 1),
  cwd: path().nullish(),
  transcript_path: path().nullish(),
  agent_id: text(200).nullish(),
});

const toolCall = common.extend({
  tool_name: text(500, 1),
  tool_input: z.record(z.string(), z.unknown()).nullish(),
  tool_use_id: text(500).nullish(),
});

const cron = z.looseObject({
  id: text(200),
  schedule: text(200),
  recurring: z.boolean().nullish(),
  prompt: z.string().nullish(),
});
const task = z.looseObject({
  id: text(200),
  type: text(200).nullish(),
  status: text(200).nullish(),
  description: z.string().nullish(),
});

export const PAYLOADS = {
  SessionStart: common,
  UserPromptSubmit: common.extend({ prompt: z.string().nullish() }),
  PreToolUse: toolCall,
  PostToolUse: toolCall,
  PostToolUseFailure: toolCall,
  Stop: common.extend({
    session_crons: z.array(cron).nullish().catch(null),
    background_tasks: z.array(task).nullish().catch(null),
  }),
  SubagentStop: common,
  SessionEnd: common.extend({ reason: text(200).nullish().catch('other') }),
} as const satisfies Record<EventName, z.ZodType>;

export type Common = z.output<typeof common>;
export type ToolCall = z.output<typeof toolCall>;
export type StopCall = z.output<(typeof PAYLOADS)['Stop']>;

export function isEvent(name: unknown): name is EventName {
  return EVENTS.includes(name as EventName);
}

/**
 * The event's name out of a body that could not be read whole, or null. The client writes it before the tool's input,
 * so that the beginning of a body too large is enough.
 */
export function eventIn(head: string): string | null {
  return /"hook_event_name"\s*:\s*"([A-Za-z]{1,100})"/.exec(head)?.[1] ?? null;
}
