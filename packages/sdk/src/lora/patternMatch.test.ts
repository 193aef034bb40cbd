/** @file Tests of Python patterns: against JavaScript's engine where both agree, and by hand where they differ. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OnnxLoraError } from '../errors.ts';
import { PatternWork, compilePattern } from './patternMatch.ts';

const full = (pattern: string, text: string): boolean => compilePattern(pattern, 'targetModules').fullMatch(text);

describe('a pattern', () => {
  it.each([
    // pattern, what Python's re.fullmatch accepts, what it does not
    ['.*\\.(q|v)_proj', 'a.q_proj', 'q_proj'],
    ['model\\.layers\\.(0|2)\\.(up|down)|.*head', 'lm_head', 'model.layers.1.up'],
    ['^(?!.*vision).*q_proj$', 'text.q_proj', 'vision.q_proj'],
    ['(?P<n>a)(?:b)(?#comment)c', 'abc', 'ab'],
    ['\\Aab\\Z', 'ab', 'abZ'],
    ['(?i)Query', 'qUERY', 'key'],
    ['[]a]+', 'a]', 'b'],
    ['[^]a]', 'b', ']'],
    ['[\\w.-]+', 'a-b.c', 'a b'],
    ['[a-]', '-', 'b'],
    ['a{,2}b', 'aab', 'aaab'],
    ['a{2}', 'aa', 'a{2}'],
    ['a{x}', 'a{x}', 'ax'],
    ['a{}', 'a{}', 'a'],
    ['(?<=a)b|ab(?<!x)', 'ab', 'b'],
    ['\\d+?\\D*', '12ab', 'ab'],
    ['\\x41\\u0042\\.', 'AB.', 'ABC'],
    ['\\bq\\b.*', 'q.x', 'qx'],
    ['q\\B.*', 'qx', 'q.x'],
    ['(a?){3}b', 'aab', 'aaaab'],
    ['(|a)*b', 'aab', 'aac'],
    ['', '', 'a'],
    ['a|', '', 'b'],
    ['}]', '}]', '}'],
    ['a$b', '', 'a$b'],
  ])('%j', (pattern, yes, no) => {
    if (pattern !== 'a$b') expect(full(pattern, yes)).toBe(true);
    expect(full(pattern, no)).toBe(false);
  });

  it.each([
    '(',
    ')',
    '[a',
    '*a',
    'a**',
    'a{2}{3}',
    '[b-a]',
    'a{3,2}',
    '\\q',
    '\\1',
    '(?P=n)',
    '(?>a)',
    'a++',
    '(?x)a',
    'a{2000}',
    '\\',
    '\\x4',
    '(?',
    '(?#',
    '('.repeat(60) + ')'.repeat(60),
    'a'.repeat(20_001),
  ])(
    // prettier-ignore
    'that is wrong or unsupported is refused: %.30j',
    (pattern) => {
      expect(() => full(pattern, 'x')).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
    },
  );

  it('says where it is wrong', () => {
    expect(() => full('a(b', 'x')).toThrowErrorMatchingInlineSnapshot(
      `[OnnxLoraError: targetModules is not a usable pattern: a "(" is not closed, in "a(b" near character 3. Correct it, or list module names instead.]`,
    );
  });

  it('agrees with JavaScript wherever the two languages agree', () => {
    const atom = fc.constantFrom('a', 'b', '.', '\\.', '[ab]', '[^a]', '\\w', '^', '$', '\\b');
    const { node } = fc.letrec<{ node: string }>((tie) => ({
      node: fc.oneof(
        { maxDepth: 4 },
        atom,
        fc.tuple(tie('node'), tie('node')).map(([x, y]) => x + y),
        fc.tuple(tie('node'), tie('node')).map(([x, y]) => `(${x}|${y})`),
        fc
          .tuple(tie('node'), fc.constantFrom('*', '+', '?', '{2}', '{1,2}', '{2,}', '*?'))
          .map(([x, q]) => `(?:${x})${q}`),
        tie('node').map((x) => `(?=${x})`),
        tie('node').map((x) => `(?!${x})`),
      ),
    }));
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '.'), maxLength: 7 });
    fc.assert(
      fc.property(node, fc.array(text, { minLength: 3, maxLength: 3 }), (pattern, texts) => {
        const ours = compilePattern(pattern, 'x');
        for (const each of texts) {
          expect(ours.fullMatch(each)).toBe(new RegExp(`^(?:${pattern})$`).test(each));
          expect(ours.endMatch(each)).toBe(new RegExp(`^(.*\\.)?(${pattern})$`).test(each));
          expect(ours.partMatch(each)).toBe(new RegExp(`(^|^.*\\.)(?:${pattern})($|\\..*)`).test(each));
        }
      }),
      { numRuns: 400 },
    );
  });

  it.each([
    '(a+)+b',
    '(a|a)*b',
    '(a*)*b',
    '(.*)*(.*)*(.*)*(.*)*x',
    `${'.*'.repeat(40)}x`,
    `${'(a?)'.repeat(60)}${'a'.repeat(60)}b`,
    '((((a{1,900}){1,900}){1,900}){1,900}){1,900}b',
    '(?=(a+)+b)(?<=(a+)+c)',
  ])('made to hang is answered or refused at once: %s', (pattern) => {
    const start = performance.now();
    for (let i = 0; i < 5; i++) {
      try {
        expect(full(pattern, 'a'.repeat(300))).toBe(false);
      } catch (error) {
        expect(error).toBeInstanceOf(OnnxLoraError);
      }
    }
    expect(performance.now() - start).toBeLessThan(5000);
  });

  it('shares what it may take with the others of its setting', () => {
    const work = new PatternWork(5000);
    const patterns = Array.from({ length: 12 }, (_, i) => compilePattern(`.*${i}.*`, 'rankPattern', work));
    const answered = patterns.findIndex((pattern) => {
      try {
        return pattern.fullMatch('a'.repeat(100));
      } catch (error) {
        expect(error).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining('rankPattern') });
        return true;
      }
    });
    expect(answered).toBeGreaterThan(0);
    // Spent is spent: the next is refused as well, though it is a simple one.
    expect(() => patterns.at(-1)!.fullMatch('a')).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
    expect(compilePattern('.*a', 'rankPattern').fullMatch('ba')).toBe(true);
  });

  it('from anybody never escapes as anything but an OnnxLoraError', () => {
    const syntax = fc.string({ unit: fc.constantFrom(...'ab.\\()[]{}*+?|^$-,12:=!<P#ix'), maxLength: 15 });
    fc.assert(
      fc.property(syntax, (pattern) => {
        try {
          full(pattern, 'abab.a');
        } catch (error) {
          expect(error).toBeInstanceOf(OnnxLoraError);
        }
      }),
      { numRuns: 1000 },
    );
  });
});
