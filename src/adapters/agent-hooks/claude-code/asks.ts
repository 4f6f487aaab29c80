import type { AdmissionRequest } from '../../../modules/admission/index.ts';
import { failedAdvice } from '../advice.ts';
import { askOfShell } from '../shell-parts.ts';
import { locate, type Whereabouts } from '../worktree.ts';
import { storable, type ToolCall } from './payload.ts';
import { homeOf, intentOf } from './tools.ts';

/** What a tool call comes to, where the agent works. */
export type Ask =
  | {
      readonly kind: 'ask';
      readonly request: Pick<AdmissionRequest, 'action' | 'parts'>;
      /** Paths and patterns of the repo that it changes. */
      readonly paths: readonly string[];
    }
  /** A tool that writes where nobody knows what it is to the repo; `asTool` is what is asked if that is to pass. */
  | { readonly kind: 'unexplained'; readonly path: string; readonly asTool: Pick<AdmissionRequest, 'action' | 'parts'> }
  | { readonly kind: 'refused'; readonly reason: string };

export function askOf(payload: ToolCall, where: Whereabouts): Ask {
  const intent = intentOf(payload);
  const asTool = {
    action: 'tool.use',
    parts: [{ action: 'tool.use', subjects: [{ tool: payload.tool_name }] }],
  } as const;
  switch (intent.kind) {
    case 'unclear':
      return { kind: 'refused', reason: failedAdvice(intent.why) };
    case 'tool':
      return { kind: 'ask', request: asTool, paths: [] };
    case 'shell': {
      const home = homeOf(payload.transcript_path);
      const { parts, paths } = askOfShell(storable(intent.command), payload.cwd ?? '', home, where);
      return { kind: 'ask', request: { action: 'command.run', parts }, paths };
    }
    case 'edit': {
      const place = locate(intent.path, where);
      if (place.kind === 'elsewhere') return { kind: 'ask', request: asTool, paths: [] };
      if (place.kind !== 'repo') return { kind: 'unexplained', path: intent.path, asTool };
      const { path } = place;
      const parts = [{ action: 'path.edit', subjects: [{ path }] }] as const;
      return { kind: 'ask', request: { action: 'path.edit', parts }, paths: [path] };
    }
  }
}
