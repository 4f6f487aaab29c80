import type { Value } from './scope.ts';

/** Variables that change what later programs do: where they are found, what they run, where they write. */
const GOVERNING =
  /^(PATH|IFS|CDPATH|HOME|ENV|BASH_.*|GLOBIGNORE|SHELLOPTS|BASHOPTS|PS[0-4]|PROMPT_COMMAND|LD_.*|DYLD_.*|GIT_.*|.*PAGER|.*EDITOR|VISUAL|LESS.*|TAR_OPTIONS|RSYNC_.*|POSIXLY_CORRECT|GREP_OPTIONS|RIPGREP_CONFIG_PATH|TMPDIR|WGETRC|CURL_HOME|XDG_.*|PERL5.*|SIMPLE_BACKUP_SUFFIX|VERSION_CONTROL|ZIPOPT|UNZIP|GZIP|XZ_.*|AWK.*|POSIX_.*)$/;
const HARMLESS = /^GIT_((AUTHOR|COMMITTER)_(NAME|EMAIL|DATE)|TERMINAL_PROMPT|OPTIONAL_LOCKS|TRACE.*|MERGE_AUTOEDIT)$/;
/** Set to these, a pager or an editor does nothing. */
const INERT = /^(|cat|true|:|\/bin\/true|\/bin\/cat)$/;

/** Whether setting the variable changes what known programs do. GIT_TRACE may name a file to write. */
export function governs(name: string, value: Value): boolean {
  if (!GOVERNING.test(name)) return false;
  const text = value.kind === 'text' ? value.text : undefined;
  if (name.startsWith('GIT_TRACE')) return text === undefined || !/^([012]|true|false|)$/.test(text);
  if (/(PAGER|EDITOR)$|^VISUAL$/.test(name)) return text === undefined || !INERT.test(text);
  return !HARMLESS.test(name);
}
