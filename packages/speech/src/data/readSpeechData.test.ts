import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { dataFolder, recordings } from '../fixtures/dataFolder.ts';
import { readLayout } from './readLayout.ts';
import { readSpeechData } from './readSpeechData.ts';
import type { GivenSpeechRecord, SpeechDataOptions, SpeechRecord } from './speechRecord.ts';

type Content = Readonly<Record<string, string>>;

/** Everything of records but where they come from, paths from `root`. */
function shown(root: string, records: readonly SpeechRecord[]): unknown[] {
  return records.map((record) => {
    const entries = Object.entries(record).filter(([name]) => name !== 'where');
    return { ...Object.fromEntries(entries), audio: relative(root, record.audio as string) };
  });
}

async function read(content: Content, options: SpeechDataOptions = {}, path = ''): Promise<Record<string, unknown>> {
  const root = dataFolder(content);
  const { train, validation, test: held, warnings } = await readSpeechData(join(root, path), options);
  return {
    train: shown(root, train),
    ...(validation ? { validation: shown(root, validation) } : {}),
    ...(held ? { test: shown(root, held) } : {}),
    ...(warnings.length > 0 ? { warnings } : {}),
  };
}

describe('manifests', () => {
  test.each<[string, Content]>([
    ['CSV', { 'manifest.csv': 'path,text\na.wav,"Good, day"\n' }],
    [
      'CSV with semicolons, a byte order mark and CRLF',
      { 'metadata.csv': '\uFEFFfile_name;text\r\na.wav;Good, day\r\n' },
    ],
    ['TSV', { 'manifest.tsv': 'path\tsentence\na.wav\tGood, day\n' }],
    ['JSONL', { 'metadata.jsonl': '{"audio": {"path": "a.wav"}, "transcription": "Good, day"}\n' }],
    ['JSON', { 'manifest.json': '[{"audio_filepath": "a.wav", "transcript": "Good, day"}]' }],
    ['JSON by lines', { 'manifest.json': '{"audio_filepath": "a.wav", "text": "Good, day"}\n' }],
  ])('as %s', async (_, content) => {
    const manifest = Object.keys(content)[0]!;
    const all = { ...content, ...recordings('a.wav') };
    const expected = { train: [{ audio: 'a.wav', text: 'Good, day' }] };
    expect(await read(all)).toEqual(expected);
    expect(await read(all, {}, manifest)).toEqual(expected);
  });

  test('say labels, speaker, language, part and split', async () => {
    const rows = [
      'file,text,label,speaker_id,locale,start,end,split',
      'a.wav,One,yes,anna,es,0.5,2,train',
      'a.wav,Two,no,,,2,,dev',
      'a.wav,,,,,,,test',
    ].join('\n');
    expect(await read({ 'manifest.csv': rows, ...recordings('a.wav') })).toEqual({
      train: [
        {
          audio: 'a.wav',
          span: { start: 0.5, end: 2 },
          duration: 1.5,
          text: 'One',
          labels: ['yes'],
          speaker: 'anna',
          language: 'es',
          split: 'train',
        },
      ],
      validation: [{ audio: 'a.wav', span: { start: 2 }, text: 'Two', labels: ['no'], split: 'validation' }],
      test: [{ audio: 'a.wav', split: 'test' }],
    });
  });

  test("say parts as NeMo's, and several labels", async () => {
    const lines = [
      { audio_filepath: 'a.wav', offset: 3, duration: 1.5, text: 'x', labels: ['b', 'a'] },
      { audio_filepath: 'a.wav', duration: 9, text: 'y' },
    ].map((each) => JSON.stringify(each));
    expect(await read({ 'train_manifest.json': lines.join('\n'), ...recordings('a.wav') })).toEqual({
      train: [
        { audio: 'a.wav', span: { start: 3, end: 4.5 }, duration: 1.5, text: 'x', labels: ['b', 'a'], split: 'train' },
        { audio: 'a.wav', duration: 9, text: 'y', labels: [], split: 'train' },
      ],
    });
  });

  test('say when a part begins and how long it lasts', async () => {
    const rows = 'path,text,start,duration\na.wav,x,0,2\na.wav,y,2,1.5\na.wav,z,3.5,\n';
    expect(await read({ 'manifest.csv': rows, ...recordings('a.wav') })).toEqual({
      train: [
        { audio: 'a.wav', span: { start: 0, end: 2 }, duration: 2, text: 'x' },
        { audio: 'a.wav', span: { start: 2, end: 3.5 }, duration: 1.5, text: 'y' },
        { audio: 'a.wav', span: { start: 3.5 }, text: 'z' },
      ],
    });
  });

  test('have columns of the names that the user gives, and names from a folder of theirs', async () => {
    const content = { 'labels/m.csv': 'clip,path,words\nx/a.wav,unused,hello', ...recordings('clips/x/a.wav') };
    const root = dataFolder(content);
    const columns = { audio: 'clip', text: 'words' };
    const audioFolder = join(root, 'clips');
    const { train } = await readSpeechData(join(root, 'labels/m.csv'), { columns, audioFolder });
    expect(shown(root, train)).toEqual([{ audio: 'clips/x/a.wav', text: 'hello' }]);
    expect(train[0]!.where).toBe(`x/a.wav (${join(root, 'labels/m.csv')}, line 2)`);
  });

  test.each<[string, string, RegExp]>([
    [
      'no column of recordings',
      'name,text\na,b',
      /no column for the recording, such as "path".*columns: \{ audio: 'name' \}/,
    ],
    ['no header', 'a.wav,hello\nb.wav,bye', /put a header before it, such as "path,text"/],
    ['an empty path', 'path,text\n,hello', /line 2: the column "path" is empty/],
    ['a path that leaves the folder', 'path,text\n../a.wav,x', /lies outside of/],
    ['an absolute path', 'path,text\n/etc/passwd,x', /lies outside of/],
    ['a NUL byte in a path', 'path,text\n"a\0.wav",x', /lies outside of/],
    [
      'a part that ends before it begins',
      'path,start,end\na.wav,3,2',
      /line 2: the utterance ends at 2 s, but it begins at 3 s/,
    ],
    ['a time that is no number', 'path,start,end\na.wav,x,2', /column "start": a number is expected/],
    ['a time before the beginning', 'path,start\na.wav,-1', /column "start": a time in seconds is expected/],
    ['an unknown split', 'path,split\na.wav,holdout', /a split is expected/],
    [
      'a file that is missing',
      'path,text\na.waw,x',
      /line 2\): there is no file ".*a.waw".* Did you mean "a.wav"\?.*1 of 1 recordings/,
    ],
    ['no rows', 'path,text\n', /has no rows/],
    ['a row of too many cells', 'path,text\na.wav,x,y', /line 2: the line has 3 cells/],
  ])('are refused for %s', async (_, manifest, reason) => {
    await expect(read({ 'manifest.csv': manifest, ...recordings('a.wav') })).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: expect.stringMatching(reason),
    });
  });

  test('may name files that are missing, where those are to be skipped', async () => {
    const content = { 'manifest.csv': 'path,text\na.wav,x\nb.wav,y', ...recordings('a.wav') };
    expect(await read(content, { missingAudio: 'skip' })).toEqual({
      train: [{ audio: 'a.wav', text: 'x' }],
      warnings: [expect.stringMatching(/Files are missing for 1 of 2 recordings; they are left out/)],
    });
  });
});

describe('layouts', () => {
  test('Common Voice, whose quotes stand for themselves', async () => {
    const head = 'client_id\tpath\tsentence\tup_votes\tlocale';
    const content = {
      'train.tsv': `${head}\nanna\tc1.mp3\t"Hola" dijo.\t2\tes\nanna\tc2.mp3\tDijo "hola\t2\tes`,
      'dev.tsv': `${head}\nbob\tc3.mp3\tAdios.\t2\tes`,
      'test.tsv': `${head}\ncleo\tc4.mp3\tNada.\t2\tes`,
      'validated.tsv': `${head}\ncleo\tc9.mp3\tNada.\t2\tes`,
      'clip_durations.tsv': 'clip\tduration[ms]\nc1.mp3\t1000',
      ...recordings('clips/c1.mp3', 'clips/c2.mp3', 'clips/c3.mp3', 'clips/c4.mp3'),
    };
    const more = { language: 'es' };
    expect(await read(content)).toEqual({
      train: [
        { audio: 'clips/c1.mp3', text: '"Hola" dijo.', speaker: 'anna', split: 'train', ...more },
        { audio: 'clips/c2.mp3', text: 'Dijo "hola', speaker: 'anna', split: 'train', ...more },
      ],
      validation: [{ audio: 'clips/c3.mp3', text: 'Adios.', speaker: 'bob', split: 'validation', ...more }],
      test: [{ audio: 'clips/c4.mp3', text: 'Nada.', speaker: 'cleo', split: 'test', ...more }],
      warnings: ['Columns that are not used: "up_votes".'],
    });
  });

  test('LibriSpeech, all of it or a part', async () => {
    const content = {
      'LibriSpeech/train-clean-100/19/198/19-198.trans.txt': '19-198-0000 NORTHANGER ABBEY\n19-198-0001 THIS WORK\n',
      'LibriSpeech/dev-clean/84/1/84-1.trans.txt': '84-1-0000 GO\n',
      'LibriSpeech/README.TXT': 'x',
      ...recordings(
        'LibriSpeech/train-clean-100/19/198/19-198-0000.flac',
        'LibriSpeech/train-clean-100/19/198/19-198-0001.flac',
        'LibriSpeech/dev-clean/84/1/84-1-0000.flac',
      ),
    };
    const train = ['NORTHANGER ABBEY', 'THIS WORK'].map((text, i) => ({
      audio: `LibriSpeech/train-clean-100/19/198/19-198-000${i}.flac`,
      text,
      speaker: '19',
      split: 'train',
    }));
    const dev = { audio: 'LibriSpeech/dev-clean/84/1/84-1-0000.flac', text: 'GO', speaker: '84', split: 'validation' };
    for (const path of ['', 'LibriSpeech']) expect(await read(content, {}, path)).toEqual({ train, validation: [dev] });
    expect(await read(content, {}, 'LibriSpeech/dev-clean')).toEqual({ train: [], validation: [dev] });
    expect(await read(content, {}, 'LibriSpeech/train-clean-100/19')).toMatchObject({ train: [{ speaker: '19' }, {}] });
    const missing = { 'a/1/2/1-2.trans.txt': '1-2-0000 A\n', ...recordings('a/1/2/1-2-0001.flac') };
    await expect(read(missing)).rejects.toThrow(/line 1: there is no recording "1-2-0000"/);
  });

  test('Kaldi, with segments and without', async () => {
    const scp = 'r1 wav/r1.wav\nr2 wav/r2.wav\n';
    const whole = {
      'wav.scp': scp,
      text: 'r1 hello there\nr2\n',
      utt2spk: 'r1 anna\nr2 bob\n',
      utt2dur: 'r1 1.25\n',
      utt2lang: 'r1 en\n',
      ...recordings('wav/r1.wav', 'wav/r2.wav'),
    };
    expect(await read(whole)).toEqual({
      train: [
        { audio: 'wav/r1.wav', text: 'hello there', speaker: 'anna', language: 'en', duration: 1.25 },
        { audio: 'wav/r2.wav', speaker: 'bob' },
      ],
    });
    const cut = {
      ...whole,
      segments: 'u1 r1 0.5 2.25\nu2 r2 1 -1\n',
      text: 'u1 hello\nu2 there\n',
      utt2spk: 'u1 anna\nu2 bob\n',
    };
    expect(await read(cut)).toEqual({
      train: [
        { audio: 'wav/r1.wav', span: { start: 0.5, end: 2.25 }, text: 'hello', speaker: 'anna' },
        { audio: 'wav/r2.wav', span: { start: 1 }, text: 'there', speaker: 'bob' },
      ],
    });
    const parts = Object.entries(whole).flatMap(([name, value]) =>
      ['train', 'dev'].map((part) => [`${part}/${name}`, value]),
    );
    expect(await read(Object.fromEntries(parts) as Content)).toMatchObject({
      train: [{ audio: 'train/wav/r1.wav' }, {}],
      validation: [{ audio: 'dev/wav/r1.wav', split: 'validation' }, {}],
    });
  });

  test.each<[string, Content, RegExp]>([
    ['a command', { 'wav.scp': 'r1 sox a.mp3 -t wav - |\n' }, /wav\.scp, line 1: .*commands from files are not run/],
    ['a command of a pipe in front', { 'wav.scp': 'r1 | touch /tmp/x\n' }, /commands from files are not run/],
    ['standard input', { 'wav.scp': 'r1 -\n' }, /commands from files are not run/],
    ['an archive', { 'wav.scp': 'r1 data/raw.ark:12\n' }, /a Kaldi archive, a format that cannot be read/],
    ['a path that leaves the folder', { 'wav.scp': 'r1 ../r1.wav\n' }, /lies outside of/],
    ['no path', { 'wav.scp': 'r1\n' }, /no file is named/],
    ['an id that comes twice', { 'wav.scp': 'r1 a.wav\nr1 a.wav\n' }, /line 2: "r1" comes a second time/],
    [
      'a segment of nothing',
      { 'wav.scp': 'r1 a.wav\n', segments: 'u1 r2 0 1\n' },
      /no recording "r2".* Did you mean "r1"/,
    ],
    ['a segment without times', { 'wav.scp': 'r1 a.wav\n', segments: 'u1 r1 0\n' }, /segments, line 1: a segment is/],
    [
      'a segment that ends first',
      { 'wav.scp': 'r1 a.wav\n', segments: 'u1 r1 2 1\n' },
      /ends at 1 s, but it begins at 2 s/,
    ],
  ])('Kaldi, which is refused for %s', async (_, content, reason) => {
    await expect(read({ ...content, ...recordings('a.wav') })).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: expect.stringMatching(reason),
    });
  });

  test('texts in another encoding than UTF-8, which are refused with the line', async () => {
    const layouts: Record<string, Content> = { 'a.txt': {}, text: { 'wav.scp': 'a a.wav\n' }, 'metadata.csv': {} };
    for (const [name, others] of Object.entries(layouts)) {
      const root = dataFolder({ ...recordings('a.wav'), ...others });
      writeFileSync(join(root, name), 'path,text\na.wav,grün', 'latin1');
      const message = expect.stringMatching(`${name}, line 2: the text is not UTF-8: .*"grün"`);
      await expect(readSpeechData(root)).rejects.toMatchObject({ code: 'DATA_INVALID', message });
    }
  });

  test('recordings with texts beside them', async () => {
    const content = {
      ...recordings('a.wav', 'b.MP3'),
      'a.txt': '\uFEFFHello\r\nthere\n',
      'b.txt': '',
      'README.txt': 'x',
    };
    expect(await read(content)).toEqual({ train: [{ audio: 'a.wav', text: 'Hello there' }, { audio: 'b.MP3' }] });
    await expect(read({ ...recordings('a.wav', 'b.wav'), 'a.txt': 'x' })).rejects.toThrow(
      /1 of the 2 recordings of ".*" have no text beside them, such as "b.wav"/,
    );
  });

  test('folders of classes, as of Speech Commands too', async () => {
    const names = ['yes/0a_nohash_0.wav', 'yes/0b_nohash_0.wav', 'no/0a_nohash_0.wav', '_background_noise_/x.wav'];
    expect(await read(recordings(...names))).toEqual({
      train: [
        { audio: 'no/0a_nohash_0.wav', labels: ['no'] },
        { audio: 'yes/0a_nohash_0.wav', labels: ['yes'] },
        { audio: 'yes/0b_nohash_0.wav', labels: ['yes'] },
      ],
    });
    const lists = { 'validation_list.txt': 'yes/0b_nohash_0.wav\n', 'testing_list.txt': 'no/0a_nohash_0.wav\n' };
    expect(await read({ ...recordings(...names), ...lists }, { findDuplicates: false })).toEqual({
      train: [{ audio: 'yes/0a_nohash_0.wav', labels: ['yes'], speaker: '0a', split: 'train' }],
      validation: [{ audio: 'yes/0b_nohash_0.wav', labels: ['yes'], speaker: '0b', split: 'validation' }],
      test: [{ audio: 'no/0a_nohash_0.wav', labels: ['no'], speaker: '0a', split: 'test' }],
      warnings: [expect.stringMatching(/1 speaker is in more than one split, such as "0a"/)],
    });
  });

  test('folders of splits', async () => {
    const content = {
      'train/metadata.csv': 'file_name,text\na.wav,x',
      'test/metadata.csv': 'file_name,text\na.wav,y',
      ...recordings('train/a.wav', 'test/a.wav'),
    };
    // A test split is measured on where there is no other.
    expect(await read(content)).toEqual({
      train: [{ audio: 'train/a.wav', text: 'x', split: 'train' }],
      validation: [{ audio: 'test/a.wav', text: 'y', split: 'test' }],
    });
    expect(await read(recordings('train/yes/1.wav', 'train/no/1.wav', 'val/yes/2.wav'))).toMatchObject({
      train: [{ labels: ['no'] }, { labels: ['yes'] }],
      validation: [{ labels: ['yes'] }],
    });
    expect(await read(recordings('train/1.wav', 'plane/2.wav'))).toMatchObject({
      train: [{ labels: ['plane'] }, { labels: ['train'] }],
    });
  });

  test.each<[string, Content, string, RegExp]>([
    ['nothing', { 'notes.md': 'x' }, '', /has no recordings \(\.wav.*metadata\.csv/],
    ['a folder that is not there', {}, 'none', /There is no folder/],
    ['a file of another kind', { 'x.pdf': 'x' }, 'x.pdf', /is no data that can be read: manifests end in \.csv/],
    ['an empty class', { 'a/1.wav': 'x', 'b/x.md': 'x' }, '', /class folder ".*b" has no recordings/],
  ])('are refused for %s', async (_, content, path, reason) => {
    await expect(read(content, {}, path)).rejects.toThrow(reason);
  });
});

describe('whatever the bytes', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      'r1',
      'r2',
      'a.wav',
      ' ',
      '\n',
      '\r\n',
      '\0',
      '|',
      '-1',
      '0.5',
      '2',
      '../',
      '\uFEFF',
      '"',
      ',',
      'path',
    ),
    fc.string({ maxLength: 8 }),
  );
  const text = fc.array(piece, { maxLength: 25 }).map((pieces) => pieces.join(''));

  test.each([
    ['a manifest', ['manifest.csv']],
    ["Common Voice's tables", ['train.tsv', 'clips/x.txt']],
    ["Kaldi's tables", ['wav.scp', 'segments', 'text', 'utt2spk', 'utt2dur']],
    ["LibriSpeech's transcripts", ['1/2/1-2.trans.txt']],
    ['lists of files', ['validation_list.txt', 'testing_list.txt', 'yes/a.txt', 'yes/a.wav']],
  ])('%s are records of files inside, or an error that names the file', async (_, names) => {
    const property = fc.asyncProperty(
      fc.array(text, { minLength: names.length, maxLength: names.length }),
      async (texts) => {
        const root = mkdtempSync(join(tmpdir(), 'onnx-lora-fuzz-'));
        try {
          names.forEach((name, i) => {
            mkdirSync(dirname(join(root, name)), { recursive: true });
            writeFileSync(join(root, name), texts[i]!);
          });
          const records = await readLayout(root).catch((cause: unknown) => {
            expect(cause).toBeInstanceOf(OnnxLoraError);
            expect((cause as OnnxLoraError).message).toContain(root);
            return [];
          });
          for (const { audio } of records) expect(relative(root, audio as string)).not.toMatch(/^\.\.|\0/);
        } finally {
          rmSync(root, { recursive: true });
        }
      },
    );
    await fc.assert(property, { numRuns: 60, seed: 4 });
  });
});

describe('splits', () => {
  const rows = (count: number, more: (i: number) => Partial<GivenSpeechRecord>): GivenSpeechRecord[] =>
    Array.from({ length: count }, (_, i) => ({ audio: new Uint8Array(1), where: `record ${i}`, ...more(i) }));

  test('hold a fraction out, of speakers whole where that is fair', async () => {
    const many = rows(100, (i) => ({ text: `sentence ${i}`, speaker: `s${i % 20}` }));
    const { train, validation, warnings } = await readSpeechData(many, { holdOut: 0.1 });
    expect([train.length, validation!.length]).toEqual([90, 10]);
    const speakers = (records: readonly SpeechRecord[]): Set<string | undefined> =>
      new Set(records.map((each) => each.speaker));
    expect(speakers(validation!).size).toBe(2);
    for (const speaker of speakers(validation!)) expect(speakers(train)).not.toContain(speaker);
    expect(warnings).toEqual([]);
  });

  test('divide two speakers, and say so; sentences stay whole', async () => {
    const few = rows(100, (i) => ({ text: `Sentence ${i >> 1}${i % 2 ? '!' : ''}`, speaker: `s${i % 2}` }));
    const { train, validation, warnings } = await readSpeechData(few, { holdOut: 0.1 });
    expect([train.length, validation!.length]).toEqual([90, 10]);
    expect(warnings).toEqual([expect.stringMatching(/2 speakers are in more than one split/)]);
    const whole = await readSpeechData(few, { validation: 0.5, splitBy: 'speaker' });
    expect(new Set(whole.validation!.map(({ speaker }) => speaker)).size).toBe(1);
  });

  test('leave recordings whole whose parts are utterances', async () => {
    const audio = Array.from({ length: 10 }, (_, i) => `r${i}.wav`);
    const content = {
      'manifest.csv': [
        'path,start,end,text',
        ...audio.flatMap((path) => [0, 1, 2].map((at) => `${path},${at},${at + 1},same ${at}`)),
      ].join('\n'),
      ...recordings(...audio),
    };
    const root = dataFolder(content);
    const { train, validation } = await readSpeechData(root, { validation: 0.2, findDuplicates: false });
    expect(validation).toHaveLength(6);
    const files = new Set(train.map((each) => each.audio));
    expect(validation!.filter((each) => files.has(each.audio))).toEqual([]);
  });

  test('come from the data, from the user or from nobody', async () => {
    const all = rows(20, (i) => ({ text: `${i}`, split: i < 14 ? 'train' : i < 17 ? 'validation' : 'test' }));
    const sizes = async (options: SpeechDataOptions, of: readonly GivenSpeechRecord[] = all): Promise<unknown[]> => {
      const { train, validation, test: held } = await readSpeechData(of, options);
      return [train.length, validation?.length, held?.length];
    };
    expect(await sizes({ holdOut: 0.1 })).toEqual([14, 3, 3]);
    expect(await sizes({ evalSplit: 'test' })).toEqual([14, 3, undefined]);
    expect((await readSpeechData(all, { evalSplit: 'test' })).validation![0]!.text).toBe('17');
    expect(await sizes({ validation: 0.5 })).toEqual([7, 7, 3]);
    expect(await sizes({ validation: 0.5, evalSplit: 'test' })).toEqual([14, 3, undefined]);
    const plain = rows(20, (i) => ({ text: `${i}` }));
    expect(await sizes({}, plain)).toEqual([20, undefined, undefined]);
    expect(await sizes({ holdOut: 0.1 }, plain)).toEqual([18, 2, undefined]);
    expect(await sizes({ holdOut: 0.1, validation: 0 }, plain)).toEqual([20, undefined, undefined]);
    // Two recordings are too few for a tenth.
    expect(await sizes({ holdOut: 0.1 }, plain.slice(0, 2))).toEqual([2, undefined, undefined]);
    expect(await sizes({}, all.slice(14))).toEqual([0, 3, 3]);
    await expect(sizes({ evalSplit: 'test' }, plain)).rejects.toThrow(
      /evalSplit is "test", but the data have no such split/,
    );
    await expect(sizes({ validation: 1 }, plain)).rejects.toThrow(/must lie between 0 and 1/);
    await expect(sizes({ validation: 0.5 }, plain.slice(0, 1))).rejects.toThrow(
      /Nothing of the given data can be held out.*splitBy/,
    );
    await expect(sizes({}, [])).rejects.toThrow(/The given data has no recordings/);
  });

  test('come from another path', async () => {
    const root = dataFolder({
      'a/metadata.csv': 'path,text\n1.wav,one',
      'b/metadata.csv': 'path,text\n1.wav,ONE.\n2.wav,two',
      ...recordings('a/1.wav', 'b/1.wav', 'b/2.wav'),
    });
    const { train, validation, warnings } = await readSpeechData(join(root, 'a'), { validation: join(root, 'b') });
    expect([train.length, validation!.length]).toEqual([1, 2]);
    expect(warnings).toEqual([expect.stringMatching(/1 sentence is in more than one split, such as "one"/)]);
  });

  test('that share recordings are told', async () => {
    const content = {
      'manifest.csv': 'path,split\na.wav,train\nb.wav,validation\nc.wav,validation',
      'a.wav': 'same',
      'b.wav': 'same',
      'c.wav': 'else',
    };
    expect(await read(content)).toMatchObject({
      warnings: [expect.stringMatching(/^1 recording is in more than one split, such as "a.wav \(.*" and "b.wav \(/)],
    });
    expect(await read(content, { findDuplicates: false })).not.toHaveProperty('warnings');
    // Two parts of one recording are not the same.
    const parts = { 'manifest.csv': 'path,start,end,split\na.wav,0,1,train\na.wav,1,2,test', 'a.wav': 'x' };
    expect(await read(parts)).not.toHaveProperty('warnings');
  });
});

describe('records of the user', () => {
  test('are taken as they are, also as they come', async () => {
    const audio = { sampleRate: 8000, channels: [new Float32Array(8)] };
    async function* come(): AsyncGenerator<GivenSpeechRecord> {
      yield { audio, text: 'one' };
      yield { audio: 'none.wav', where: 'my table, row 2', split: 'test' };
    }
    await expect(readSpeechData(come())).rejects.toThrow(/my table, row 2: there is no file "none.wav"/);
    const data = await readSpeechData(come(), { missingAudio: 'skip' });
    expect(data.train).toEqual([{ audio, text: 'one', where: 'record 1' }]);
    expect(await readSpeechData(data)).toEqual(data);
    await expect(readSpeechData([{ text: 'x' } as GivenSpeechRecord])).rejects.toThrow(/record 1: it has no "audio"/);
  });
});

describe('limits of length', () => {
  const rows = 'path,duration\na.wav,0.2\nb.wav,3\nc.wav,30\n';

  test('leave out what is shorter or longer, and say so', async () => {
    const content = { 'manifest.csv': rows, ...recordings('a.wav', 'b.wav', 'c.wav') };
    expect(await read(content, { minSeconds: 0.5, maxSeconds: 20 })).toEqual({
      train: [{ audio: 'b.wav', duration: 3 }],
      warnings: ['Some of 3 recordings are left out: 1 are shorter than 0.5 s and 1 are longer than 20 s.'],
    });
    expect(await read(content, { maxSeconds: 30 })).not.toHaveProperty('warnings');
    await expect(read(content, { minSeconds: 40 })).rejects.toThrow(/No recording of/);
    await expect(read(content, { minSeconds: 2, maxSeconds: 1 })).rejects.toThrow(/minSeconds is 2 and maxSeconds 1/);
  });

  test('are measured where the data does not say it, no further than necessary', async () => {
    let pulled = 0;
    const reader = {
      fileEndings: ['.wav'],
      read: () => Promise.reject(new Error('not asked')),
      stream: (source: unknown) =>
        Promise.resolve({
          sampleRate: 10,
          pieces: (async function* () {
            for (let i = 0; i < (source as Uint8Array)[0]!; i++, pulled++) yield [new Float32Array(10)];
          })(),
        }),
    };
    const records = [1, 3, 200].map((seconds) => ({ audio: Uint8Array.of(seconds) }));
    const { train } = await readSpeechData(records, { minSeconds: 2, maxSeconds: 5, reader });
    expect(train.map(({ audio }) => (audio as Uint8Array)[0])).toEqual([3]);
    expect(pulled).toBe(1 + 3 + 5);
    await expect(readSpeechData(records, { maxSeconds: 5 })).rejects.toThrow(/Give a reader/);
  });
});

const shared = join(import.meta.dirname, '../../../../../shared/data');
describe.skipIf(!existsSync(shared))('real recordings', () => {
  test.each([
    ['asterisk-es', [186, 24, 72]],
    ['asterisk-en', [0, 30, 120]],
  ] as const)('%s is read without an option', async (name, sizes) => {
    const data = await readSpeechData(join(shared, name), { holdOut: 0.1 });
    expect([data.train.length, data.validation?.length, data.test?.length]).toEqual(sizes);
    expect(data.warnings).toEqual([]);
    const [record] = data.validation!;
    expect(record).toMatchObject({ text: expect.any(String), duration: expect.any(Number), split: 'validation' });
  });
});
