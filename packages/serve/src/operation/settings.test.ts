/** @file Tests of the settings: what is refused, and that the guide has all of them. */

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { serveSettings, settingNames } from './settings.ts';

it.each([
  [{ prot: 80 }, 'There is no "prot" among the settings of a file. Did you mean "port"?'],
  [{ port: '80' }, '"port" of a file is not as it should be'],
  [{ store: { foldr: 'a' } }, 'There is no "store.foldr"'],
  [{ keys: [{ tenant: 'a', sha256: 'key' }] }, 'must be 64 hexadecimal digits'],
  [{ batches: { maxPadding: 2 } }, '"batches.maxPadding" of a file'],
  [{ name: 'a/b' }, '"name" of a file'],
  [null, 'of a file is not as it should be'],
])('%j is refused', (given, error) => {
  expect(() => serveSettings(given, 'a file')).toThrow(error);
});

it('what is given is what is read', () => {
  const given = { port: 0, adapters: 'runs', queue: { maxWait: 5 }, targetModules: ['query'], settings: { topK: 3 } };
  expect(serveSettings(given, 'a file')).toEqual(given);
});

it('the guide lists them', () => {
  const guide = readFileSync(new URL('../../../../docs/guides/server.md', import.meta.url), 'utf8');
  const table = guide.split('## Settings')[1]!.split('## ')[0]!;
  expect(settingNames.filter((name) => !table.includes(`\`${name}\``))).toEqual([]);
});
