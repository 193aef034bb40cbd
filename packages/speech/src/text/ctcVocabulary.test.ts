/** @file Tests of new vocabularies. */

import { CtcTokenizer } from '@onnx-lora/sdk/tasks';
import { describe, expect, it } from 'vitest';
import { ctcVocabulary, newVocabularyTokens } from '../tasks/ctc/ctcWords.ts';

describe('a new vocabulary', () => {
  it('has the characters of the transcripts, and writes them back', () => {
    const labels = ctcVocabulary(['ñu  a', 'be\u0301\n|'], (text) => text.toLowerCase());
    expect(labels).toEqual(['a', 'b', 'u', 'é', 'ñ', '|', '[UNK]', '[PAD]']);
    const tokenizer = new CtcTokenizer(labels, newVocabularyTokens);
    expect([tokenizer.blank, tokenizer.unknown]).toEqual([7, 6]);
    expect(tokenizer.decode(tokenizer.encode('ñu bé'))).toBe('ñu bé');
    expect(tokenizer.encode('x')).toEqual([6]);
    expect(() => ctcVocabulary([' ', '|'])).toThrow(/No transcript has a character/);
  });
});
