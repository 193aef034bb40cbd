/** @file Tests of semantic segmentation on the command line: from folders of images and masks to masks of new images. */

import { readFileSync } from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { expect, it } from 'vitest';
import { segformer, writeDarkShapes } from '../../../../test/fixtures/shapes.ts';
import { call, callJson, temporaryFolder } from '../../fixtures/call.ts';

it('trains, reports, measures, and writes masks of the size of the images', async () => {
  const folder = temporaryFolder();
  const data = await writeDarkShapes(path.join(folder, 'shapes'), { count: 40, seed: 1 });
  const out = path.join(folder, 'run');
  const { code, stderr, stdout } = await call([
    'train', '--task', 'semantic-segmentation', '--data', data, '--validation', '0.2', '--model', segformer, '--out', out,
    '--steps', '25', '--batch-size', '8', '--lr', '5e-3', '--targets', 'all-linear', '--set', 'labels=ground,ball,box', '--json',
  ]); // prettier-ignore
  expect(stderr).toMatch(/decode_head.classifier gets 3 new outputs/);
  expect(code).toBe(0);
  const { after } = JSON.parse(stdout) as { after: { meanIou: number } };
  expect(after.meanIou).toBeGreaterThan(0.5);
  const report = readFileSync(path.join(out, 'report.html'), 'utf8');
  for (const part of ['Worst results', 'IoU', 'true: ', 'class="wide"']) expect(report).toContain(part);

  const photo = path.join(folder, 'photo.jpg');
  await sharp(path.join(data, 'images', '0.png'))
    .resize(100, 80, { fit: 'fill' })
    .jpeg()
    .toFile(photo);
  const masks = path.join(folder, 'masks');
  const [answer] = await callJson<{ classes: { label: string }[]; mask: string }[]>(
    'predict', segformer, photo, '--task', 'semantic-segmentation', '--adapter', out, '--out', masks,
  ); // prettier-ignore
  expect(answer!.classes[0]!.label).toBe('ground');
  expect(await sharp(path.join(masks, 'photo-mask.png')).metadata()).toMatchObject({ width: 100, height: 80 });
  const again = await call(['predict', segformer, photo, '--task', 'semantic-segmentation', '--adapter', out, '--out', masks]); // prettier-ignore
  expect([again.code, again.stderr]).toEqual([
    2,
    expect.stringMatching(/photo-mask\.png" is there already\. .*--overwrite/),
  ]);
});
