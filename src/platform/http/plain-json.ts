/**
 * Route options for the hottest operations: the answer is written as it is, where other routes' answers are held against
 * their zod schema once more. Their tests hold them against it instead.
 */
export const plainJson = { serializerCompiler: () => (answer: unknown) => JSON.stringify(answer) };
