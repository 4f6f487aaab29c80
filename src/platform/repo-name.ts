/** A repository as its forge names it: `acme/shop`, or more segments where the forge has groups; none of them `.` or `..`. */
export const REPO_NAME = /^(?!.*(?:^|\/)\.{1,2}(?:\/|$))[\w.-]+(?:\/[\w.-]+)+$/;
export const MAX_REPO_NAME = 200;

export const isRepoName = (text: string): boolean => text.length <= MAX_REPO_NAME && REPO_NAME.test(text);
