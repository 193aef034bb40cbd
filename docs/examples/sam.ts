/**
 * @file A small SAM that only knows plain shapes takes each stripe of a striped thing for a thing of its own. It learns that the
 * whole is meant, and then answers points with whole masks.
 */

import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { evaluate, openModel, train } from '@onnx-lora/sdk';
import { promptableSegmentation, SamPredictor, visionFamilies } from '@onnx-lora/vision';
import sharp from 'sharp';

const examples = fileURLToPath(new URL('..', import.meta.url));
const out = path.resolve('sam');

// 1. Images with masks, and a manifest that names them, with a point on each object: here drawn, 60 to train on and 20 to test.
await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
const rows = ['image,mask,x,y,split'];
for (let i = 0; i < 80; i++) {
  const [radius, x, y] = [14 + ((i * 5) % 9), 30 + ((i * 17) % 66), 28 + ((i * 29) % 70)];
  await draw(
    `${i}.png`,
    `<circle cx="${x}" cy="${y}" r="${radius}" fill="url(#stripes)"/>`,
    `hsl(${i * 47}, 30%, 60%)`,
  );
  await draw(`${i}-mask.png`, `<circle cx="${x}" cy="${y}" r="${radius}" fill="#fff"/>`, '#000');
  rows.push(`${i}.png,${i}-mask.png,${x},${y},${i < 60 ? 'train' : 'validation'}`);
}
await writeFile(path.join(out, 'manifest.csv'), rows.join('\n'));

// 2. Both files of the model as one, so that adapters in the encoder learn through the decoder's masks.
const model = await openModel(path.join(examples, 'models/sam-tiny'), { families: visionFamilies });
const task = promptableSegmentation(out, { loss: { bce: 1 } });
const before = await evaluate(model, { task });
const run = await train(model, {
  task,
  lora: { r: 8, loraAlpha: 16, targetModules: ['qkv', 'q_proj', 'v_proj'] },
  steps: 40,
  batchSize: 8,
  lr: 2e-3,
});
for await (const event of run) {
  if (event.type === 'step' && event.step % 10 === 0) console.log(`step ${event.step}, loss ${event.loss.toFixed(3)}`);
}
const { adapter } = await run.done;
await adapter.save(path.join(out, 'adapter'));
const after = await evaluate(model, { task, adapter });
console.log(
  `Mean IoU: ${before.metrics['meanIou']!.toFixed(3)} before, ${after.metrics['meanIou']!.toFixed(3)} after.`,
);

// 3. An image is encoded once for each adapter, and answers any number of prompts.
const predictor = await SamPredictor.create(model, { adapters: { striped: adapter } });
for (const name of [null, 'striped']) {
  const image = await predictor.setImage(path.join(out, '70.png'), { adapter: name });
  const [, , x, y] = rows[71]!.split(',');
  const { masks, best, scores } = await image.predict({ points: [[Number(x), Number(y)]] });
  const area = masks[best]!.data.reduce((sum, each) => sum + each, 0);
  console.log(`${name ?? 'base'}: a mask of ${area} pixels, whose IoU it takes to be ${scores[best]!.toFixed(2)}.`);
}
await predictor.release();

async function draw(name: string, shape: string, ground: string): Promise<void> {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="128" height="128">
    <pattern id="stripes" width="12" height="12" patternUnits="userSpaceOnUse">
      <rect width="12" height="12" fill="#c33"/><rect width="6" height="12" fill="#fd8"/>
    </pattern>
    <rect width="128" height="128" fill="${ground}"/>${shape}</svg>`;
  await sharp(Buffer.from(svg)).png().toFile(path.join(out, name));
}
