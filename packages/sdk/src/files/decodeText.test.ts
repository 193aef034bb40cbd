/** @file Tests of decoding: every encoding with a byte order mark, wherever pieces are cut, and the line of a wrong byte. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeText, StrictDecoder, decodePreview } from './decodeText.ts';

const units = fc.constantFrom('a', 'é', '語', '😀', '\n', '\r', '\r\n', '\u0a0a', ' ');
const texts = fc.array(units, { maxLength: 60 }).map((all) => all.join(''));
const sizes = fc.integer({ min: 1, max: 9 });

/** The bytes of a text with a byte order mark, by Node's own encoders. */
const marked = {
  utf8: (text: string): Buffer => Buffer.from(`\uFEFF${text}`),
  utf16le: (text: string): Buffer => Buffer.from(`\uFEFF${text}`, 'utf16le'),
  utf16be: (text: string): Buffer => Buffer.from(`\uFEFF${text}`, 'utf16le').swap16(),
};

function inPieces(bytes: Uint8Array, size: number): string {
  const decoder = new StrictDecoder('t');
  let text = '';
  for (let at = 0; at < bytes.length; at += size) text += decoder.push(bytes.subarray(at, at + size));
  return text + decoder.end();
}

test('a text is the same in UTF-8, and with the byte order marks of UTF-8 and UTF-16, wherever it is cut', () => {
  fc.assert(
    fc.property(texts, sizes, (text, size) => {
      for (const bytes of [Buffer.from(text), ...Object.values(marked).map((encode) => encode(text))]) {
        expect(inPieces(bytes, size)).toBe(text);
        expect(decodeText(bytes, 't')).toBe(text);
        expect(decodePreview(bytes)).toBe(text);
      }
    }),
    { numRuns: 200, seed: 1 },
  );
});

test('a wrong byte is told with its line, wherever the text is cut', () => {
  const wrong = fc.constantFrom(0xfc, 0x80, 0xff, 0xc0);
  fc.assert(
    fc.property(texts, texts, wrong, sizes, fc.boolean(), (before, after, byte, size, hasMark) => {
      const bytes = Buffer.concat([Buffer.from((hasMark ? '\uFEFF' : '') + before), Buffer.from([byte]), Buffer.from(after)]); // prettier-ignore
      // Two bytes that begin as the byte order mark of UTF-16 are one.
      fc.pre(!(bytes[0] === 0xff && bytes[1] === 0xfe));
      // A CR LF that the byte divides is two ends.
      const line = before.split(/\r\n|\n|\r/).length;
      const shown = `t, line ${line}: the text is not UTF-8: it has the byte 0x${byte.toString(16).toUpperCase()}`;
      expect(() => inPieces(bytes, size)).toThrow(shown);
      expect(() => decodeText(bytes, 't')).toThrow(shown);
    }),
    { numRuns: 300, seed: 2 },
  );
});

test('half a character is told with its line', () => {
  const half = Buffer.from('\uFEFFa\nb\n\ud83d\nc\n', 'utf16le');
  for (const size of [1, 3, 100]) {
    expect(() => inPieces(half, size)).toThrow('t, line 3: the text is UTF-16 with half a character');
    expect(() => inPieces(marked.utf16be('a\nb').subarray(0, -1), size)).toThrow('t, line 2: the text ends within');
    expect(() => inPieces(Buffer.from('a\rÄ', 'latin1'), size)).toThrow('t, line 2: the text ends with the byte 0xC4, which is "Ä" in Windows-1252'); // prettier-ignore
  }
});

test("a word in Excel's encoding is shown as it was meant, with the remedy", () => {
  const bytes = Buffer.from('text,label\nja,blau\nnein,grün\n', 'latin1');
  expect(() => decodeText(bytes, 'mails.csv')).toThrow(
    'mails.csv, line 3: the text is not UTF-8: it has the byte 0xFC, which is "grün" in Windows-1252, the encoding of Excel\'s "CSV". Save it as UTF-8 (in Excel "CSV UTF-8"), or convert it: iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW.',
  );
});
