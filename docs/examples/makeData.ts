/**
 * @file Makes the data that the tutorials train on, each in a folder of its own name, in the folder that this is run in:
 * `node docs/examples/dist/makeData.js digits` makes those named, and without a name all.
 */

import { makeAssay } from './support/assay.ts';
import { makeBeeps } from './support/beeps.ts';
import { makeDigits } from './support/digits.ts';
import { makeParts } from './support/parts.ts';

const makers: Readonly<Record<string, (folder: string) => Promise<string>>> = {
  digits: makeDigits,
  parts: makeParts,
  beeps: makeBeeps,
  assay: makeAssay,
};

const asked = process.argv.slice(2);
for (const name of asked.length > 0 ? asked : Object.keys(makers)) {
  const make = makers[name];
  if (!make) throw new Error(`There is no "${name}": choose of ${Object.keys(makers).join(', ')}.`);
  console.log(`${name}: ${await make(name)}`);
}
