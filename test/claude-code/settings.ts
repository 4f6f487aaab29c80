/** The scenarios drive the client with exactly what the server prints for people to paste. */
export { claudeSettings, type HookSettings } from '../../src/adapters/agent-hooks/claude-code/settings.ts';
