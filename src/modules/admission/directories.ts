/** The directory that a path lies in, with its slash; '' is the root. */
export function directoryOf(text: string): string {
  return text.slice(0, text.lastIndexOf('/') + 1);
}

/** The directories of the paths, then those above them, up to the root; each once. */
export function around(paths: readonly string[]): Set<string> {
  const directories = new Set(paths.map(directoryOf));
  for (const directory of directories) {
    if (directory !== '') directories.add(directoryOf(directory.slice(0, -1)));
  }
  return directories;
}
