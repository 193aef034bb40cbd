/** @file Prints `N passed, N failed` from vitest's JSON report; exits with 1 unless tests ran and all of them passed. */

import { readFileSync } from 'node:fs';

const text = readFileSync(process.argv[2], 'utf8');
const report = text === '' ? { numPassedTests: 0, numFailedTests: 0, testResults: [] } : JSON.parse(text);
// A file that cannot even be loaded counts as one failure: it has no tests of its own to count.
const broken = report.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0);
const failed = report.numFailedTests + broken.length;
if (report.numPassedTests + failed === 0) console.log('No tests ran.');
console.log(`${report.numPassedTests} passed, ${failed} failed`);
process.exitCode = report.success === true && report.numPassedTests > 0 && failed === 0 ? 0 : 1;
