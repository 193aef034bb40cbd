/** @file Tests of the report's sections for transcripts. */

import type { ReportSection } from '@onnx-lora/sdk/tasks';
import { describe, expect, it } from 'vitest';
import { type ReportUtterance, transcriptSections } from './transcriptSections.ts';

const utterance = (name: string, reference: string, before: string, after: string): ReportUtterance => ({
  name,
  rate: 8000,
  samples: Float32Array.of(0, 0.5, -1),
  reference,
  before,
  after,
});

const utterances = [
  utterance('a.wav', 'La casa es azul.', 'the cause is a sul', 'la casa es as azul'),
  utterance('b.wav', 'El mar', 'el mar', 'el mal'),
  utterance('c.wav', 'El mar es azul', 'hell', 'el mal azul'),
  utterance('d.wav', 'Sí', 'see', 'sí'),
  utterance('e.wav', '…', 'you', 'you'),
];
const normalise = (text: string): string => text.toLowerCase().replace(/[.…]/g, '');

function tableOf(sections: readonly ReportSection[], title: string): readonly (readonly (string | number)[])[] {
  const found = sections.find((section) => section.title === title);
  return found?.kind === 'table' ? found.rows : [];
}

describe('the sections for transcripts', () => {
  it('count errors before and after', async () => {
    const sections = await transcriptSections({ utterances, normalise });
    // 11 words: 5 + 0 + 4 + 1 mistakes before, 1 + 1 + 2 after; the rates are jiwer's.
    expect(tableOf(sections, 'Error rates')).toEqual([
      ['Base', 90.9, 59.5, 6, 3, 1],
      ['Adapted', 36.4, 21.6, 2, 1, 1],
    ]);
    expect(sections[0]!.text).toContain('4 recordings with 11 words. 1 recording without a word');
    expect(tableOf(sections, 'Mistakes that come again')).toEqual([['mar', 'mal', 2, 0]]);
  });

  it('show the worst, word by word and to be heard', async () => {
    const sections = await transcriptSections({ utterances, normalise, worst: 2 });
    const worst = sections.at(-1)!;
    if (worst.kind !== 'clips') throw new Error('no clips');
    expect(worst.clips.map(({ title }) => title)).toEqual([
      'c.wav: 2 mistakes in 4 words, base 4',
      'b.wav: 1 mistake in 2 words, base 0',
    ]);
    expect(worst.clips[0]!.lines).toEqual([
      { label: 'said', pieces: [{ text: 'el mar es azul' }] },
      { label: 'base', pieces: [{ text: 'hell', mark: 'wrong' }, { text: 'mar es azul', mark: 'missing' }] }, // prettier-ignore
      { label: 'adapted', pieces: [{ text: 'el' }, { text: 'mal', mark: 'wrong' }, { text: 'es', mark: 'missing' }, { text: 'azul' }] }, // prettier-ignore
    ]);
    const sound = Buffer.from(worst.clips[0]!.audio!);
    expect([sound.toString('latin1', 0, 4), sound.readUInt32LE(24), sound.length]).toEqual(['RIFF', 8000, 50]);
    expect([sound.readInt16LE(46), sound.readInt16LE(48)]).toEqual([16384, -32768]);
  });

  it('load only the sound that is shown, and keep the file small', async () => {
    const loaded: string[] = [];
    const long = utterances.map((each) => ({
      ...each,
      samples: async () => {
        loaded.push(each.name);
        return each.name === 'c.wav' ? new Float32Array(7e6) : Float32Array.of(0);
      },
    }));
    const sections = await transcriptSections({ utterances: long, normalise, worst: 2 });
    expect(loaded).toEqual(['c.wav', 'b.wav']);
    const worst = sections.at(-1)!;
    if (worst.kind !== 'clips') throw new Error('no clips');
    expect(worst.clips.map(({ audio }) => audio?.length)).toEqual([undefined, 46]);
    expect(worst.text).toContain('1 recording too long to be kept');
  });

  it('have no list of mistakes where there is none', async () => {
    const right = utterances.map((each) => ({ ...each, after: each.reference }));
    const sections = await transcriptSections({ utterances: right, normalise });
    expect(sections.map(({ title }) => title)).toEqual(['Error rates']);
  });
});
