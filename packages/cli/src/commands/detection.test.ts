/** @file Tests of object detection on the command line: from a folder to boxes, and to a COCO file of them. */

import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { readImageData } from '@onnx-lora/vision';
import { expect, it } from 'vitest';
import { writeMaskNet } from '../../../../test/fixtures/maskModels.ts';
import { sceneLayouts, sceneNames, writeDetr } from '../../../../test/fixtures/scenes.ts';
import { call, callJson, temporaryFolder } from '../../fixtures/call.ts';

interface Coco {
  readonly images: { id: number; file_name: string }[];
  readonly categories: { id: number; name: string }[];
  readonly annotations: {
    image_id: number;
    category_id: number;
    bbox: [number, number, number, number];
    score: number;
  }[];
}

it(
  'trains, and writes the boxes of a folder as COCO, whose metrics are those of eval',
  { timeout: 120_000 },
  async () => {
    const folder = temporaryFolder();
    const [model, data, out] = [writeDetr(path.join(folder, 'detr')), path.join(folder, 'scenes'), path.join(folder, 'run')]; // prettier-ignore
    await sceneLayouts['coco']!(data);
    const { code, stderr } = await call([
    'train', '--task', 'object-detection', '--data', data, '--model', model, '--out', out,
    '--steps', '30', '--batch-size', '4', '--lr', '5e-3', '--targets', 'all-linear', '--json',
  ]); // prettier-ignore
    expect([code, stderr]).toEqual([0, expect.any(String)]);

    const pictures = path.join(data, 'test/images');
    const found = path.join(folder, 'found.json');
    const set = ['--adapter', out, '--task', 'object-detection', '--set', 'threshold=0'];
    const answers = await callJson<{ file: string; objects: { label: string; box: number[] }[] }[]>('predict', model, pictures, ...set); // prettier-ignore
    expect(answers.map(({ file }) => path.basename(file))).toEqual(['scene8.png', 'scene9.png', 'scene10.png', 'scene11.png']); // prettier-ignore
    const written = await call(['predict', model, pictures, ...set, '--out', found]);
    expect([written.code, written.stderr]).toEqual([0, expect.stringMatching(/4 answers in .*found\.json/)]);
    const coco = JSON.parse(readFileSync(found, 'utf8')) as Coco;
    expect(coco.categories.map(({ name }) => name)).toEqual(sceneNames);
    expect(coco.images.map(({ file_name: name }) => name)).toEqual(answers.map(({ file }) => path.basename(file)));
    expect(coco.annotations).toHaveLength(answers.reduce((sum, { objects }) => sum + objects.length, 0));

    // The file reads as data: what was found can be corrected and learned.
    mkdirSync(path.join(folder, 'again/images'), { recursive: true });
    copyFileSync(found, path.join(folder, 'again/annotations.json'));
    for (const { file_name: name } of coco.images) copyFileSync(path.join(pictures, name), path.join(folder, 'again/images', name)); // prettier-ignore
    const { train } = await readImageData(path.join(folder, 'again'));
    expect(train.map(({ objects }) => objects!.length)).toEqual(answers.map(({ objects }) => objects.length));

    const again = await call(['predict', model, pictures, ...set, '--out', found]);
    expect([again.code, again.stderr]).toEqual([2, expect.stringMatching(/found\.json" is there already/)]);
    const table = await call(['predict', model, pictures, ...set, '--out', path.join(folder, 'found.csv')]);
    expect([table.code, table.stderr]).toEqual([0, expect.stringMatching(/4 answers in .*found\.csv/)]);

    const tiled = await callJson<{ objects: unknown[] }[]>('predict', model, path.join(pictures, 'scene8.png'), ...set, '--set', 'tile=40'); // prettier-ignore
    expect(tiled[0]!.objects).not.toEqual(answers[0]!.objects);
    const untiled = await callJson<{ objects: unknown[] }[]>('predict', model, path.join(pictures, 'scene8.png'), ...set, '--set', 'tile=64'); // prettier-ignore
    expect(untiled[0]!.objects).toEqual(answers[0]!.objects);
  },
);

it(
  'trains masks, reports, and writes what it finds as COCO with run lengths, which read as data',
  { timeout: 120_000 },
  async () => {
    const folder = temporaryFolder();
    const [model, data, out] = [await writeMaskNet(path.join(folder, 'net'), 'detr'), path.join(folder, 'scenes'), path.join(folder, 'run')]; // prettier-ignore
    await sceneLayouts['coco']!(data);
    const { code, stderr } = await call([
    'train', '--task', 'instance-segmentation', '--data', data, '--model', model, '--out', out,
    '--epochs', '60', '--batch-size', '4', '--lr', '5e-3', '--r', '16', '--targets', 'all-linear', '--json',
  ]); // prettier-ignore
    expect([code, stderr]).toEqual([0, expect.any(String)]);
    expect(existsSync(path.join(out, 'report.html'))).toBe(true);
    const found = path.join(folder, 'again/annotations.json');
    const pictures = path.join(data, 'train/images');
    mkdirSync(path.join(folder, 'again/images'), { recursive: true });
    const set = ['--adapter', out, '--task', 'instance-segmentation', '--set', 'threshold=0.2'];
    const written = await call(['predict', model, pictures, ...set, '--out', found]);
    expect([written.code, written.stderr]).toEqual([0, expect.stringMatching(/8 answers in /)]);
    const coco = JSON.parse(readFileSync(found, 'utf8')) as Coco;
    expect(coco.annotations.length).toBeGreaterThan(2);
    for (const { file_name: name } of coco.images) copyFileSync(path.join(pictures, name), path.join(folder, 'again/images', name)); // prettier-ignore
    const { train } = await readImageData(path.join(folder, 'again'));
    const shapes = train.flatMap(({ objects }) => objects!.map(({ shape, area }) => [shape!.kind, area! > 0]));
    expect(shapes).toEqual(coco.annotations.map(() => ['runs', true]));
  },
);
