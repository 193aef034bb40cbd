/**
 * @file Makes the data that the tutorials and sweeps train on, each in a folder of its own name, in the folder that this is run in:
 * `node docs/examples/dist/makeData.js digits` makes those named, and without a name all.
 */

import { makeAssay } from './support/assay.ts';
import { makeBeeps } from './support/beeps.ts';
import { makeDigits, turnedDigits } from './support/digits.ts';
import { makeMails } from './support/mails.ts';
import { makePackageQuestions } from './support/packageQuestions.ts';
import { makeParts } from './support/parts.ts';
import { makeTables } from './support/tables.ts';

const makers: Readonly<Record<string, (folder: string) => Promise<string>>> = {
  digits: makeDigits,
  turned: turnedDigits(640, 500),
  'turned-few': turnedDigits(200, 200),
  parts: makeParts,
  tables: makeTables,
  beeps: makeBeeps,
  assay: makeAssay,
  questions: makePackageQuestions,
  mails: makeMails,
};

const asked = process.argv.slice(2);
const unknown = asked.find((name) => !Object.hasOwn(makers, name));
if (unknown === undefined) {
  for (const name of asked.length > 0 ? asked : Object.keys(makers))
    console.log(`${name}: ${await makers[name]!(name)}`);
} else {
  console.error(`error: There is no data "${unknown}". Choose of ${Object.keys(makers).join(', ')}.`);
  process.exitCode = 2;
}
