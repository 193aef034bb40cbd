/** @file Tests of how data are read, checked and divided. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { OnnxLoraError } from '@onnx-lora/sdk';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { dataFolder } from '../../../sequences/src/fixtures/dataFolder.ts';
import { readSequenceData } from './readSequenceData.ts';
import type { SequenceDataOptions, SequenceRecord } from './sequenceRecord.ts';

type Content = Readonly<Record<string, string | Uint8Array>>;

/** Everything of records but where they come from. */
function shown(records: readonly SequenceRecord[]): unknown[] {
  return records.map((record) => Object.fromEntries(Object.entries(record).filter(([name]) => name !== 'where')));
}

async function read(content: Content, options: SequenceDataOptions = {}, path = ''): Promise<Record<string, unknown>> {
  const names = Object.keys(content);
  const only = names.length === 1 ? names[0]! : path;
  const {
    train,
    validation,
    test: held,
    warnings,
    ...rest
  } = await readSequenceData(join(dataFolder(content), only), options);
  return {
    train: shown(train),
    ...(validation ? { validation: shown(validation) } : {}),
    ...(held ? { test: shown(held) } : {}),
    ...(warnings.length > 0 ? { warnings } : {}),
    ...rest,
  };
}

async function failure(content: Content, options: SequenceDataOptions = {}, path = ''): Promise<string> {
  const error: unknown = await read(content, options, path).catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(OnnxLoraError);
  return (error as OnnxLoraError).message;
}

describe('a table', () => {
  const expected = {
    train: [
      { id: 'a', sequence: 'MKT', values: [0.5] },
      { id: 'b', sequence: 'MRT', values: [-1] },
    ],
    valueNames: ['fitness'],
  };
  test.each<[string, Content]>([
    ['CSV', { 'd.csv': 'id,sequence,fitness\na,MKT,0.5\nb,MRT,-1\n' }],
    ['a BOM, semicolons, CRLF and quotes', { 'd.csv': '\uFEFFid;seq;fitness\r\n"a";"mkt";0.5\r\nb;MRT;-1' }],
    ['UTF-16', { 'd.tsv': Buffer.from('\uFEFFid\taa_seq\tfitness\na\tMKT\t0.5\nb\tMRT\t-1\n', 'utf16le').swap16() }],
    ['TSV', { 'd.tsv': 'id\taa_seq\tfitness\na\tMKT\t0.5\nb\tMRT\t-1\n' }],
    ['JSONL', { 'd.jsonl': '{"id":"a","primary":"MKT","fitness":[0.5]}\n{"id":"b","primary":"MRT","fitness":-1}' }],
    ['JSON', { 'd.json': '[{"id":"a","protein":"MKT","fitness":0.5},{"id":"b","protein":"MRT","fitness":-1}]' }],
    ['gzip', { 'd.csv.gz': gzipSync('id,my_seq,fitness\na,MKT,0.5\nb,MRT,-1\n') }],
    ['gzip without its ending', { 'd.csv': gzipSync('id,my_seq,fitness\na,MKT,0.5\nb,MRT,-1\n') }],
  ])('as %s', async (_, content) => {
    expect(await read(content)).toEqual(expected);
  });

  test('says classes, labels, pairs, groups, splits and residues', async () => {
    const rows = [
      'name,protein1,protein2,class,tags,cluster,subset,ss3',
      'a,MKT,GAV,x,p|q,c1,train,HEC',
      'b,MRT,GAV,y,,c2,valid,"H,,C"',
      'c,MWT,GAL,x,p,c2,test,"[1.5, null, 2]"',
    ].join('\n');
    expect(await read({ 'd.csv': rows })).toEqual({
      train: [
        {
          id: 'a',
          sequence: 'MKT',
          second: 'GAV',
          labels: ['x'],
          group: 'c1',
          split: 'train',
          residues: ['H', 'E', 'C'],
        },
      ],
      validation: [
        {
          id: 'b',
          sequence: 'MRT',
          second: 'GAV',
          labels: ['y'],
          group: 'c2',
          split: 'validation',
          residues: ['H', null, 'C'],
        },
      ],
      test: [
        {
          id: 'c',
          sequence: 'MWT',
          second: 'GAL',
          labels: ['x'],
          group: 'c2',
          split: 'test',
          residues: [1.5, null, 2],
        },
      ],
      splitBy: 'as the column "subset" says',
    });
    const needsLabels = await read({ 'd.csv': rows }, { needs: ['labels'] });
    expect(needsLabels['train']).toMatchObject([{ labels: ['p', 'q'] }]);
    expect(needsLabels['validation']).toMatchObject([{ labels: [] }]);
  });

  test('has columns of other names, and of 0 and 1', async () => {
    const rows = 'x,p,q,a,b\nMKT,1,0,0.5,\nMRT,1,1,,2\n';
    const columns = { sequence: 'x', labels: ['p', 'q'], values: ['a', 'b'] };
    const found = await read({ 'd.csv': rows }, { columns, needs: ['labels', 'values'] });
    expect(found).toEqual({
      train: [
        { id: '1', sequence: 'MKT', labels: ['p'], values: [0.5, NaN] },
        { id: '2', sequence: 'MRT', labels: ['p', 'q'], values: [NaN, 2] },
      ],
      valueNames: ['a', 'b'],
    });
  });

  test('marks what is for validation within what is for training, as in FLIP', async () => {
    const rows = 'sequence,target,set,validation\nMKT,1,train,\nMRT,2,train,True\nMST,3,test,\nMAT,4,train,False\n';
    expect(await read({ 'd.csv': rows }, { needs: ['values'] })).toMatchObject({
      train: [{ sequence: 'MKT' }, { sequence: 'MAT' }],
      validation: [{ sequence: 'MRT' }],
      test: [{ sequence: 'MST' }],
      valueNames: ['target'],
    });
    const several = 'sequence,Fitness,a,a_validation\nMKT,1,train,True\nMRT,2,train,\nMST,3,test,\nMAT,4,,\n';
    expect(await read({ 'd.csv': several })).toMatchObject({
      train: [{ sequence: 'MRT' }],
      validation: [{ sequence: 'MKT' }],
      test: [{ sequence: 'MST' }],
      warnings: [expect.stringContaining('1 rows name no split in column "a" and are left out')],
    });
  });

  test('has numbers under any name where they are the only ones', async () => {
    expect(await read({ 'd.csv': 'smiles,note,logD74\nCCO,x,1.5\nCC,y,2\n' })).toEqual({
      train: [
        { id: '1', sequence: 'CCO', values: [1.5] },
        { id: '2', sequence: 'CC', values: [2] },
      ],
      valueNames: ['logD74'],
      warnings: ['Columns that are not used: "note".'],
    });
  });

  test('has a column of few whole numbers that are classes or are measured, as the task needs it', async () => {
    const rows = 'sequence,target\nMKT,0\nMRT,1\n';
    const both = [
      { id: '1', sequence: 'MKT', labels: ['0'], values: [0] },
      { id: '2', sequence: 'MRT', labels: ['1'], values: [1] },
    ];
    for (const needs of [[], ['label'], ['values']] as const)
      expect((await read({ 'd.csv': rows }, { needs }))['train']).toEqual(both);
    const words = 'sequence,target\nMKT,soluble\nMRT,insoluble\nMST,soluble\n';
    expect((await read({ 'd.csv': words }, { needs: ['label'] }))['train']).toMatchObject([
      { labels: ['soluble'] },
      { labels: ['insoluble'] },
      { labels: ['soluble'] },
    ]);
  });
});

describe('mutations', () => {
  const wildType = '>wt\nMKTAY\n';
  const rows = 'mutant,score\nK2R,0.5\nK2R:A4G,0.7\nWT,1\n';
  const train = [
    { id: 'K2R', sequence: 'MRTAY', values: [0.5], substitutions: [{ from: 'K', position: 2, to: 'R' }] },
    {
      id: 'K2R:A4G',
      sequence: 'MRTGY',
      values: [0.7],
      substitutions: [
        { from: 'K', position: 2, to: 'R' },
        { from: 'A', position: 4, to: 'G' },
      ],
    },
    { id: 'WT', sequence: 'MKTAY', values: [1], substitutions: [] },
  ];
  const expected = { train, valueNames: ['score'], wildType: 'MKTAY' };

  test('against a wild type beside the table, in a file or as letters', async () => {
    expect(await read({ 'd.csv': rows, 'wild-type.fasta': wildType })).toEqual(expected);
    expect(await read({ 'd.csv': rows, 'd_wt.fasta': wildType }, {}, 'd.csv')).toEqual(expected);
    const file = join(dataFolder({ 'x.fasta': wildType }), 'x.fasta');
    expect(await read({ 'd.csv': rows }, { wildType: file })).toEqual(expected);
    expect(await read({ 'd.csv': rows }, { wildType: 'mktay' })).toEqual(expected);
  });

  test('counted from another number', async () => {
    const moved = rows.replaceAll('K2', 'K102').replaceAll('A4', 'A104');
    const found = await read({ 'd.csv': moved }, { wildType: 'MKTAY', firstPosition: 101 });
    expect(shownSequences(found)).toEqual(['MRTAY', 'MRTGY', 'MKTAY']);
    expect(found['train']).toMatchObject([{ substitutions: [{ position: 2 }] }, {}, {}]);
    expect(await failure({ 'd.csv': moved }, { wildType: 'MKTAY' })).toMatch(
      /line 2, column "mutant": K102R is beyond the wild type.*All mutations fit if the first letter of the wild type is number 101: firstPosition: 101/,
    );
  });

  test('as in ProteinGym, with the sequence beside them', async () => {
    const gym =
      'mutant,mutated_sequence,DMS_score,DMS_score_bin,fold_random_5\nK2R,MRTAY,0.5,0,0\nK2R:A4G,MRTGY,0.7,1,1\n';
    const found = await read({ 'd.csv': gym });
    expect(found).toEqual({
      train: [
        { ...train[0], labels: ['0'] },
        { ...train[1], labels: ['1'] },
      ],
      valueNames: ['DMS_score'],
      wildType: 'MKTAY',
      warnings: ['Columns that are not used: "fold_random_5".'],
    });
    const folds = await read({ 'd.csv': gym }, { columns: { split: 'fold_random_5' }, fold: 1 });
    expect(folds['validation']).toMatchObject([{ id: 'K2R:A4G' }]);
    expect(folds['warnings']).toEqual(['Fold 1 of column "fold_random_5" is measured on; the others are trained on.']);
    expect(await failure({ 'd.csv': gym }, { columns: { split: 'fold_random_5' }, fold: 7 })).toContain(
      'there is no fold 7. Its folds are 0, 1',
    );
  });

  test('as residues at the sites that the wild type names, as in FLIP', async () => {
    const content = {
      'gb1.csv':
        'variant,fitness,sampled,low_vs_high\nKA,1,train,test\nRG,0.5,train,train\nKG,0.2,validation,train\nRA,0.3,test,train\n',
      'wild-type.fasta': '>GB1 variant sites 2,4 (1-based)\nMKTAY\n',
    };
    const found = await read(content);
    expect(shownSequences(found)).toEqual(['MRTGY', 'MKTGY', 'MRTAY']);
    expect(found).toMatchObject({
      train: [
        { id: 'RG', substitutions: [{ from: 'K', position: 2, to: 'R' }, { position: 4 }] },
        { id: 'KG' },
        { id: 'RA' },
      ],
      splitBy: expect.stringContaining('low_vs_high'),
      warnings: [expect.stringContaining('divides the data in several ways. "low_vs_high" is used')],
    });
    const chosen = await read(content, { columns: { split: 'sampled' } });
    expect(shownSequences(chosen)).toEqual(['MKTAY', 'MRTGY']);
    expect(chosen['warnings']).toBeUndefined();
    expect(await failure({ ...content, 'gb1.csv': 'variant,fitness\nKA,1\nRGG,0.5\n' })).toMatch(
      /gb1\.csv, line 3, column "variant": 2 letters, the residues at 2, 4 of the wild type, is expected, but it is "RGG"/,
    );
  });

  test('of sequences that are as long as a wild type are found by comparison', async () => {
    const fasta = { 'v.fasta': '>a\nMRTAY\n>b\nMKT\n>c\nWWWWW\n' };
    expect(await read(fasta, { wildType: 'MKTAY' })).toEqual({
      train: [
        { id: 'a', sequence: 'MRTAY', substitutions: [{ from: 'K', position: 2, to: 'R' }] },
        { id: 'b', sequence: 'MKT' },
        { id: 'c', sequence: 'WWWWW' },
      ],
      wildType: 'MKTAY',
    });
    expect(await failure(fasta, { wildType: 'MKTAY', needs: ['substitutions'] })).toMatch(
      /line 3 \(b\): it is not known how it differs from a wild type/,
    );
  });

  test.each<[string, string, SequenceDataOptions, RegExp]>([
    ['no wild type', 'K2R,1', {}, /line 2: the column "mutant" has mutations, but.*--set wildType=wt\.fasta/],
    [
      'a wrong letter',
      'W2R,1',
      { wildType: 'MKTAY' },
      /line 2, column "mutant": W2R expects W at position 2, but the wild type has K/,
    ],
    ['a deletion', 'K2del,1', { wildType: 'MKTAY' }, /line 2, column "mutant": "K2del" is no substitution/],
    ['a wild type that is none', 'K2R,1', { wildType: 'MK TAY!' }, /is neither a FASTA file nor a sequence/],
    ['a wild type that is missing', 'K2R,1', { wildType: 'wt.fasta' }, /There is no file "wt\.fasta"/],
  ])('%s', async (_, row, options, message) => {
    const filler = 'K2R,2\nK2R,3\n';
    expect(await failure({ 'd.csv': `mutant,score\n${row}\n${filler}` }, options)).toMatch(message);
  });

  test('but a reference of several sequences is a genome, and none of its business', async () => {
    const genome = { 'd.csv': 'sequence,label\nMKT,x\nMRT,y\n', 'reference.fasta': '>chr1\nAC\n>chr2\nAC\n' };
    expect((await read(genome, {}, 'd.csv'))['train']).toHaveLength(2);
  });

  test('and a wild type of several sequences is refused', async () => {
    expect(await failure({ 'd.csv': rows, 'wt.fasta': '>a\nMKTAY\n>b\nMKT\n' })).toContain(
      'several sequences, "a" and "b"',
    );
    expect(await failure({ 'd.csv': rows, 'wt.fasta': '>a sites 9\nMKTAY\n' })).toContain('names site 9, but');
  });
});

function shownSequences(found: Record<string, unknown>): string[] {
  return (found['train'] as SequenceRecord[]).map(({ sequence }) => sequence);
}

describe('other files', () => {
  test.each<[string, Content, unknown[]]>([
    [
      'FASTA',
      { 'd.fasta': '>a first\nMK\nT\n>b\nMR-T*\n' },
      [
        { id: 'a', sequence: 'MKT' },
        { id: 'b', sequence: 'MRT' },
      ],
    ],
    ['FASTQ', { 'd.fq.gz': gzipSync('@r1 x\nacgt\n+\nIIII\n') }, [{ id: 'r1', sequence: 'ACGT' }]],
    [
      'A3M',
      { 'd.a3m': '>a\nMKT\n>b\nM-aT\n' },
      [
        { id: 'a', sequence: 'MKT' },
        { id: 'b', sequence: 'MAT' },
      ],
    ],
    [
      'Stockholm',
      { 'd.sto': '# STOCKHOLM 1.0\n#=GF ID fam\na M-KT\n#=GR a SS H.EC\n//\n' },
      [{ id: 'a', sequence: 'MKT', labels: ['fam'], residues: ['H', 'E', 'C'] }],
    ],
    [
      'a list of SMILES',
      { 'd.smi': 'CCO ethanol\nCC\n' },
      [
        { id: 'ethanol', sequence: 'CCO' },
        { id: '2', sequence: 'CC' },
      ],
    ],
    [
      'a list of sequences',
      { 'd.txt': 'MKT\nMRT\n' },
      [
        { id: '1', sequence: 'MKT' },
        { id: '2', sequence: 'MRT' },
      ],
    ],
  ])('%s', async (_, content, train) => {
    expect((await read(content))['train']).toEqual(train);
  });

  test('headers of FASTA name splits, numbers and classes, as of biotrainer', async () => {
    const fasta = [
      '>a SET=train TARGET=0.5 VALIDATION=False\nMKT',
      '>b SET=train TARGET=1.5 VALIDATION=True\nMRT',
      '>c OS=Homo TARGET=2 SET=test\nMST',
    ].join('\n');
    expect(await read({ 'd.fasta': fasta }, { needs: ['values'] })).toEqual({
      train: [{ id: 'a', sequence: 'MKT', labels: ['0.5'], values: [0.5], split: 'train' }],
      validation: [{ id: 'b', sequence: 'MRT', labels: ['1.5'], values: [1.5], split: 'validation' }],
      test: [{ id: 'c', sequence: 'MST', labels: ['2'], values: [2], split: 'test' }],
      valueNames: ['TARGET'],
      splitBy: 'as the headers say',
    });
    expect(await failure({ 'd.fasta': '>a SET=trian\nMKT\n' })).toContain(
      'line 1 (a): the header names the split "trian"',
    );
  });

  test('labels of residues lie in a file beside the sequences', async () => {
    const content = {
      'sequences.fasta': '>a\nMKT\n>b\nMR\n',
      'labels.fasta': '>b SET=test\nEE\n>a SET=train\nHEC\n',
      'mask.fasta': '>a\n110\n>b\n11\n',
    };
    expect(await read(content)).toEqual({
      train: [{ id: 'a', sequence: 'MKT', residues: ['H', 'E', null], split: 'train' }],
      validation: [{ id: 'b', sequence: 'MR', residues: ['E', 'E'], split: 'test' }],
      splitBy: 'as the headers say',
    });
    expect(await failure({ ...content, 'mask.fasta': '>a\n110\n' })).toContain(
      'line 3 (b): "mask.fasta" has not as many letters for it',
    );
  });

  test('a folder has a file for each split, or for each class', async () => {
    const train = [{ id: '1', sequence: 'MKT', labels: ['x'], split: 'train' }];
    const table = 'sequence,label\nMKT,x\n';
    expect(await read({ 'train.csv': table, 'valid.csv': table.replace('K', 'R') })).toEqual({
      train,
      validation: [{ id: '1', sequence: 'MRT', labels: ['x'], split: 'validation' }],
      splitBy: 'as the names of the files say',
    });
    expect(await read({ 'globin.fasta': '>a\nMKT\n', 'kinase.fa.gz': gzipSync('>b\nMRT\n') })).toEqual({
      train: [
        { id: 'a', sequence: 'MKT', labels: ['globin'] },
        { id: 'b', sequence: 'MRT', labels: ['kinase'] },
      ],
    });
    const nested = await read({
      'train/p.fasta': '>a\nMKT\n',
      'train/q.fasta': '>b\nMRT\n',
      'test/p.fasta': '>c\nMST\n',
    });
    expect(nested).toMatchObject({
      train: [{ labels: ['p'] }, { labels: ['q'] }],
      validation: [{ id: 'c', split: 'test' }],
    });
    expect(await failure({ 'a.csv': table, 'b.csv': table })).toContain('has several files that are no splits');
    expect(await failure({ 'a.txt': '', 'b.txt': '' })).toContain('has no files of sequences: they end in .fasta');
    const other = { 'train.csv': 'sequence,score\nMKT,1\n', 'test.csv': 'sequence,fitness\nMRT,1\n' };
    expect(await failure(other)).toMatch(/different columns of numbers to predict: "fitness".* and "score"/);
  });
});

describe('what is wrong is named', () => {
  const rows = (...lines: string[]): Content => ({ 'd.csv': ['id,sequence,score', ...lines].join('\n') });
  test.each<[string, Content, SequenceDataOptions, RegExp]>([
    [
      'an illegal letter',
      rows('a,MKT,1', 'b,MK1T,2'),
      {},
      /d\.csv, line 3, column "sequence": "1" at position 3 is no residue\. Correct it.*--set illegal=skip/,
    ],
    ['an illegal letter in FASTA', { 'd.fa': '>a\nMKT\nM?\n' }, {}, /d\.fa", line 3: "\?" at column 2 is no residue/],
    [
      'a stop inside',
      rows('a,M*KT,1'),
      {},
      /line 2, column "sequence": "\*" at position 2 is no residue\. Cut the sequence at the stop codon/,
    ],
    ['protein for DNA', rows('a,MEF,1'), { alphabet: 'dna' }, /column "sequence": "E" at position 2 is no base of DNA/],
    [
      'a blank in SMILES',
      { 'd.csv': 'smiles,logS\nCCO x,1\n' },
      {},
      /column "smiles": " " at position 4 is no sign of SMILES\. Keep the name/,
    ],
    [
      'an empty sequence',
      rows('a,MKT,1', 'b,,2'),
      {},
      /line 3, column "sequence": a sequence is expected, but it is empty\. Add it, or remove the row/,
    ],
    ['nothing but gaps', rows('a,---,1'), {}, /line 2, column "sequence": the sequence is empty/],
    ['an empty record of FASTA', { 'd.fa': '>a\nMKT\n>b\n' }, {}, /line 3: record "b" has no sequence/],
    [
      'an id for two sequences',
      rows('a,MKT,1', 'a,MRT,2'),
      {},
      /line 3, column "id": the id "a" is that of another sequence, too \(.*line 2\)\. Rename one/,
    ],
    [
      'an id for two in FASTA',
      { 'd.fa': '>a\nMKT\n>a\nMRT\n' },
      {},
      /line 3 \(a\): the id "a" is that of another sequence, too/,
    ],
    [
      'a missing column',
      { 'd.csv': 'id,letters\na,MKT\n' },
      {},
      /has no column for sequences, such as .*Its columns: "id", "letters"\..*--set columns.sequence=letters/,
    ],
    [
      'a misspelt column',
      rows('a,MKT,1'),
      { columns: { values: 'scor' } },
      /has no column "scor" \(columns\.values\)\. Did you mean "score"\?/,
    ],
    [
      'no numbers',
      { 'd.csv': 'sequence,fitnes,x\nMKT,1,1\nMRT,2,2\n' },
      { needs: ['values'] },
      /no column for numbers to predict.*Did you mean "fitnes"\?.*--set columns.values=fitnes/,
    ],
    ['no classes', { 'd.csv': 'sequence\nMKT\n' }, { needs: ['label'] }, /no column for the class/],
    [
      'no header',
      { 'd.csv': 'MKTAYIAKQRQISFVKSHFSRQ,1\nMKTAYIAKQRQISFVKSHFSRR,2\n' },
      {},
      /Its first line looks like data: put a header before it/,
    ],
    [
      'a NaN',
      rows('a,MKT,1', 'b,MRT,NaN'),
      { needs: ['values'] },
      /line 3, column "score": a number is expected, but it is "NaN"\. Write it, or remove the row/,
    ],
    [
      'no number',
      rows('a,MKT,1', 'b,MRT,', 'c,MRS,2'),
      { needs: ['values'] },
      /line 3, column "score": a number is expected, but it is empty/,
    ],
    [
      'an infinity',
      rows('a,MKT,1', 'b,MRT,inf', 'c,MRS,2'),
      { needs: ['values'] },
      /line 3, column "score": a number is expected, but it is "inf"/,
    ],
    [
      'a word',
      rows('a,MKT,1', 'b,MRT,high', 'c,MRS,2'),
      { needs: ['values'] },
      /line 3, column "score": a number is expected, but it is "high"/,
    ],
    [
      'a comma',
      rows('a,MKT,1.0', 'b,MRT,"1,5"', 'c,MRS,2'),
      { needs: ['values'] },
      /line 3, column "score".*Write it with a point, not a comma/,
    ],
    [
      'no class in a row',
      { 'd.csv': 'sequence,label\nMKT,x\nMRT,\n' },
      { needs: ['label'] },
      /line 3, column "label": a class is expected, but it is empty/,
    ],
    [
      'too few labels of residues',
      { 'd.csv': 'sequence,ss8\nMKT,HE\n' },
      {},
      /line 2, column "ss8": there are labels for 2 residues, but the sequence has 3/,
    ],
    [
      'no second sequence',
      { 'd.csv': 'seq1,seq2\nMKT,MR\nMRT,\n' },
      {},
      /line 3, column "seq2": a sequence is expected, but it is empty/,
    ],
    [
      'a wrong split',
      { 'd.csv': 'sequence,set\nMKT,train\nMRT,trian\nMST,test\n' },
      {},
      /line 3, column "set": a split is expected, but it is "trian"/,
    ],
    ['cells that are too many', rows('a,MKT,1,2'), {}, /line 2: the line has 4 cells, but the header has 3/],
    [
      'a spreadsheet',
      { 'd.xlsx': Buffer.from('PK\u0003\u0004\0\0') },
      {},
      /d\.xlsx" is no text file\. Save a spreadsheet as CSV/,
    ],
    ['Latin-1', { 'd.fasta': Buffer.from('>a\nMKT\n>b Käfer\nMKT\n', 'latin1') }, {}, /d\.fasta, line 3: the text is not UTF-8: .*"Käfer"/], // prettier-ignore
    [
      'UTF-16 in FASTA that is cut off',
      { 'd.fasta': Buffer.from('\uFEFF>a\nMKT\n', 'utf16le').subarray(0, -1) },
      {},
      /d\.fasta, line 2: the text ends within a character\. It was cut off/,
    ],
    [
      'lists in lists without end',
      { 'd.jsonl': `{"sequence":"MKT","score":${'['.repeat(1e5)}${']'.repeat(1e5)}}` },
      {},
      /line 1: lists or objects lie too deeply/,
    ],
    [
      'the same in a cell',
      { 'd.csv': `sequence,residues\nMKT,${'['.repeat(1e5)}${']'.repeat(1e5)}\n` },
      {},
      /line 2, column "residues": a list without so many lists in it is expected/,
    ],
    ['columns twice', { 'd.csv': 'sequence,sequence\nMKT,MKT\n' }, {}, /two columns are named "sequence"/],
    ['no rows', { 'd.csv': 'sequence,label\n' }, {}, /has no rows but its first line/],
    ['an empty file', { 'd.csv': '' }, {}, /has no rows/],
    [
      'half a gzip',
      { 'd.csv.gz': gzipSync('id,sequence\na,MKT\n').subarray(0, 20) },
      {},
      /cannot be decompressed.*It may have been cut off/,
    ],
    [
      'FASTA without numbers',
      { 'd.fa': '>a\nMKT\n' },
      { needs: ['values'] },
      /line 1 \(a\): it has no number to learn/,
    ],
    ['a fraction', rows('a,MKT,1'), { validation: 2 }, /must lie between 0 and 1/],
    ['no test split', rows('a,MKT,1'), { evalSplit: 'test' }, /evalSplit is "test", but the data have no such split/],
    [
      'too little to divide',
      rows('a,MKT,1'),
      { validation: 0.5, splitBy: 'random' },
      /Nothing of ".*" can be held out at a fraction of 0\.5/,
    ],
  ])('%s', async (_, content, options, message) => {
    expect(await failure(content, options)).toMatch(message);
  });

  test('SMILES that are no molecules', async () => {
    const smiles = { 'd.csv': 'smiles,logS\nCCO,1\nc1ccccc,2\nCC(=O)[O-].[Na+],3\n' };
    expect(await failure(smiles)).toMatch(/line 3, column "smiles": .*c1ccccc/);
    expect(await read(smiles, { illegal: 'skip' })).toMatchObject({
      train: [{ sequence: 'CCO' }, { sequence: 'CC(=O)[O-].[Na+]' }],
      warnings: [expect.stringContaining('1 records are no molecules'), expect.stringContaining('several parts')],
    });
  });

  test('a file that is not there, and records of the user’s own', async () => {
    await expect(readSequenceData('none.csv')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    await expect(readSequenceData([{ values: [1] } as never])).rejects.toThrow(/^record 1: it has no "sequence"/);
    await expect(readSequenceData([{ sequence: 'MK1', id: 'x' }])).rejects.toThrow('record 1 (x): "1" at position 3');
    await expect(readSequenceData([])).rejects.toThrow('The given data has no sequences');
  });

  test('letters that do not belong are left out if so wished', async () => {
    const options = { illegal: 'skip' } as const;
    expect(await read(rows('a,MKT,1', 'b,M1T,2', 'c,M,3'), options)).toMatchObject({
      train: [{ id: 'a' }, { id: 'c' }],
      warnings: [
        expect.stringMatching(/^1 sequence with letters that do not belong .*line 3, column "sequence": "1" at/),
      ],
    });
    expect(await read({ 'd.fa': '>a\nMKT\n>b\nM1\n' }, options)).toMatchObject({ train: [{ id: 'a' }] });
  });

  test('whole numbers to predict are no classes, which would have to be on both sides', async () => {
    const protein = fc.array(fc.constantFrom(...'ACDEFGHIKLMNPQRSTVWY'), { minLength: 60, maxLength: 80 });
    const proteins = fc.sample(protein, { numRuns: 20, seed: 1 }).map((letters) => letters.join(''));
    const table = { 'd.csv': `sequence,score\n${proteins.map((each, i) => `${each},${i}\n`).join('')}` };
    const found = await read(table, { needs: ['values'], holdOut: 0.2 });
    expect(found).toMatchObject({ splitBy: expect.stringContaining('clusters') as unknown });
    expect(found).not.toHaveProperty('warnings');
  });

  test('what was changed, is there twice or in two splits is told', async () => {
    const fasta = '>a\nMK-T\n>b\nMRT*\n>b\nMRT\n';
    expect((await read({ 'd.fa': fasta }))['warnings']).toEqual([
      'Gaps ("-" and ".") were left out of 1 sequence.',
      'A stop codon ("*") at the end was left out of 1 sequence.',
      expect.stringMatching(/^1 records are there twice, with the same id and sequence, such as "b"/),
    ]);
    expect((await read({ 'd.fa': '>a\nACGU\n' }, { alphabet: 'dna' }))['warnings']).toEqual([
      'U was read as T in 1 sequence.',
    ]);
    const molecules = 'smiles,split\nOCC,train\nCCO,test\nc1ccccc1,train\n';
    expect((await read({ 'd.csv': molecules }))['warnings']).toEqual([
      expect.stringMatching(/^1 sequence is in more than one split, such as ".*line 2" and ".*line 3"/),
      expect.stringMatching(/^1 of 1 held-out molecules/),
    ]);
    const split = 'sequence,split\nMKT,train\nmkt,test\nMRT,train\n';
    expect((await read({ 'd.csv': split }))['warnings']).toEqual([
      expect.stringMatching(/^1 sequence is in more than one split, such as ".*line 2" and ".*line 3"/),
    ]);
  });
});

describe('records', () => {
  test('of the user’s own are checked and divided', async () => {
    const records = Array.from({ length: 20 }, (_, i) => ({ sequence: `mk${'A'.repeat(i + 1)}`, values: [i] }));
    async function* stream(): AsyncGenerator<(typeof records)[number]> {
      yield* records;
    }
    const options = { validation: 0.2, splitBy: 'random', seed: 3 } as const;
    const data = await readSequenceData(records, options);
    expect([data.train.length, data.validation?.length, data.valueNames]).toEqual([16, 4, ['value']]);
    expect(data.train.every(({ sequence }) => sequence.startsWith('MK'))).toBe(true);
    expect(data.splitBy).toContain('at random');
    expect(await readSequenceData(stream(), options)).toEqual(data);
    // Data that was read is taken as it is.
    expect(await readSequenceData(data)).toEqual(data);
    expect((await readSequenceData(records, { validation: 0 })).validation).toBeUndefined();
    expect((await readSequenceData(records, { holdOut: 0.1, splitBy: 'random' })).validation).toHaveLength(2);
  });

  test('are the same after they are written and read', async () => {
    const record = fc.record({
      sequence: fc
        .array(fc.constantFrom(...'ACDEFGHIKLMNPQRSTVWY'), { minLength: 1, maxLength: 30 })
        .map((x) => x.join('')),
      value: fc.double({ noNaN: true, noDefaultInfinity: true }).map((each) => each + 0),
      note: fc.string(),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(record, { minLength: 1, maxLength: 8, selector: ({ sequence }) => sequence }),
        fc.constantFrom(',', ';', '\t'),
        async (records, separator) => {
          const cell = (text: string): string => `"${text.replaceAll('"', '""')}"`;
          const lines = records.map(({ sequence, value, note }) =>
            [cell(note), cell(sequence), cell(String(value))].join(separator),
          );
          const file = join(
            dataFolder({ 'd.csv': [['note', 'sequence', 'fitness'].join(separator), ...lines].join('\n') }),
            'd.csv',
          );
          const { train } = await readSequenceData(file, { alphabet: 'protein' });
          expect(train.map(({ sequence, values }) => [sequence, values![0]])).toEqual(
            records.map(({ sequence, value }) => [sequence, value]),
          );
        },
      ),
      { numRuns: 40 },
    );
  });
});

const shared = fileURLToPath(new URL('../../../../../shared/data/', import.meta.url));
describe.skipIf(!existsSync(shared))('real data (needs ../shared beside the checkout)', () => {
  test('GB1 needs no word of the user’s', async () => {
    const {
      train,
      validation,
      test: held,
      ...rest
    } = await readSequenceData(`${shared}gb1/gb1.csv`, {
      needs: ['values'],
      holdOut: 0.1,
    });
    expect([train.length, validation!.length, held!.length]).toEqual([6289, 699, 1745]);
    expect(rest).toMatchObject({ valueNames: ['fitness'], splitBy: 'as the column "sampled" says' });
    expect(train[0]).toMatchObject({ id: 'VDGV', substitutions: [], values: [1], sequence: rest.wildType });
    const two = await readSequenceData(`${shared}gb1`, { columns: { split: 'two_vs_rest' } });
    expect(Math.max(...two.train.map(({ substitutions }) => substitutions!.length))).toBe(2);
  });

  test('families, structures and ESOL are known by their columns', async () => {
    const families = await readSequenceData(`${shared}proteins/families.csv`, { needs: ['label'] });
    expect(new Set(families.train.flatMap(({ labels }) => labels))).toEqual(
      new Set(['globin', 'fn3', 'rrm', 'kinase', 'smc']),
    );
    const structure = await readSequenceData(`${shared}proteins/structure.csv`, { needs: ['residues'] });
    expect(structure.train.every(({ residues, sequence }) => residues!.length === sequence.length)).toBe(true);
    const esol = await readSequenceData(`${shared}esol/esol.csv`, { needs: ['values'] });
    expect([esol.train.length, esol.valueNames]).toEqual([1128, ['logS']]);
  });
});
