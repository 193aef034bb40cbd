/** @file Mails to a shop, each with the department that it is for, in the few words that the tiny model of the examples knows. */

import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Random } from '@onnx-lora/sdk/data';

/** Requests in the mails of each department. */
const departments: Readonly<Record<string, readonly string[]>> = {
  repairs: ['fix', 'repair', 'clean', 'wash'],
  sales: ['buy', 'purchase', 'sell', 'offer'],
  shipping: ['send', 'ship', 'find', 'locate'],
  returns: ['replace', 'exchange', 'discard', 'scrap'],
};
const beginnings = ['how can i', 'can we', 'i want to', 'help me', 'the shop can', 'we want one to'];
const things =
  'phone laptop computer parcel bike sofa couch car jacket coat carpet rug stove cooker bin basket cup mug letter note present gift'.split(
    ' ',
  );
const owners = ['my', 'the', 'a', 'one'];

const count = 1000;

/**
 * Writes `<folder>/mails.csv`, and `new-mails.csv` with mails that nobody has sorted.
 *
 * @returns a summary of the data, in words
 */
export async function makeMails(folder: string): Promise<string> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const random = new Random(7);
  const one = (list: readonly string[]): string => list[random.index(list.length)]!;
  const names = Object.keys(departments);
  const mails = new Map<string, string>();
  while (mails.size < count) {
    const department = names[mails.size % names.length]!;
    mails.set([one(beginnings), one(departments[department]!), one(owners), one(things)].join(' '), department);
  }
  const rows = [...mails].map(([text, department]) => `${text},${department}`);
  await writeFile(path.join(folder, 'mails.csv'), ['text,department', ...rows, ''].join('\n'));
  const asked = [
    'help me send a mobile to the store',
    'my stove: can one fix the stove',
    'we want to replace the photo',
  ];
  await writeFile(path.join(folder, 'new-mails.csv'), ['text', ...asked, ''].join('\n'));
  return `${rows.length} mails to ${names.length} departments, and ${asked.length} new ones`;
}
