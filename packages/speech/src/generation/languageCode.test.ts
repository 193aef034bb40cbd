/** @file Languages by code and name. */

import { expect, test } from 'vitest';
import { languageCode } from './generationConfig.ts';

const whisper = ['en', 'zh', 'es', 'ko', 'jw', 'tl', 'no', 'nn', 'haw', 'my', 'yue', 'he', 'ht', 'ca', 'lb', 'ps'];

test.each([
  ['es', 'es'],
  ['Spanish', 'es'],
  [' SPANISH ', 'es'],
  ['<|es|>', 'es'],
  ['es-MX', 'es'],
  ['es_419', 'es'],
  ['spa', 'es'],
  ['castilian', 'es'],
  ['javanese', 'jw'],
  ['jv', 'jw'],
  ['tagalog', 'tl'],
  ['norwegian', 'no'],
  ['nynorsk', 'nn'],
  ['burmese', 'my'],
  ['myanmar', 'my'],
  ['cantonese', 'yue'],
  ['mandarin', 'zh'],
  ['zh-Hant-TW', 'zh'],
  ['hebrew', 'he'],
  ['iw', 'he'],
  ['haitian creole', 'ht'],
  ['letzeburgesch', 'lb'],
])('%s is %s', (given, code) => {
  expect(languageCode(given, whisper)).toBe(code);
});

test.each(['', 'xx', 'klingon', 'de', 'German', '<||>', 'e s', '__proto__', 'constructor'])('"%s" is none', (given) => {
  expect(languageCode(given, whisper)).toBeUndefined();
});
