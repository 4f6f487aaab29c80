/**
 * Patterns within the limits each, of which no two of different kinds overlap; but to see that takes long: of eighty with
 * eighty some fifteen million steps.
 */
export const intricate = (kind: string, count: number): string[] =>
  Array.from({ length: count }, (_, n) => {
    const classes = Array.from({ length: 10 }, (_class, at) => `[!${'abcdefghij'[(n + at * 3) % 10]}${(n + at) % 7}]*`);
    return `**/${classes.join('')}/**/*${kind}${n}`;
  });
