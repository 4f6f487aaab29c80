// Prints the closing line `N passed, N failed` from vitest's JSON report. Tests are not all that can fail: a file that
// does not load has none, and a run that dies leaves no report. Neither may read as a run without failures.
import { readFileSync } from 'node:fs';

const [reportFile, statusText] = process.argv.slice(2);
const status = Number(statusText);

function counts() {
  try {
    const report = JSON.parse(readFileSync(reportFile, 'utf8'));
    const withoutTests = report.testResults.filter(
      ({ status: outcome, assertionResults }) =>
        outcome === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
    );
    return { passed: report.numPassedTests, failed: report.numFailedTests + withoutTests.length };
  } catch (error) {
    console.log(`no report of the tests could be read: ${error.message}`);
    process.exitCode = 1;
    return { passed: 0, failed: 1 };
  }
}

const { passed, failed } = counts();
// Exit code and counts disagree: an unhandled error, a crash, or no report at all. That is one failure more than the tests show.
console.log(`${passed} passed, ${status === 0 ? failed : Math.max(failed, 1)} failed`);
