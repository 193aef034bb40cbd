/** @file Models, pictures and adapters of the pages about vision. */

import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Adapter, loadAdapter, openModel } from '@onnx-lora/sdk';
import { inNaming } from '@onnx-lora/sdk/plugin';
import {
  imageClassification,
  promptableSegmentation,
  semanticSegmentation,
  visionFamilies as families,
} from '@onnx-lora/vision';
import { writeDigits } from '../../test/fixtures/digits.ts';
import { writeDarkShapes } from '../../test/fixtures/shapes.ts';
import { captionedPictures, classFolders, cocoInstances, maskedPictures, picture } from './pictures.ts';
import { root } from './fences.ts';
import { adapterOf, copyOf, type Fixture, type Fixtures } from './fixtures.ts';
import { backbone, detr, int8Vit } from './visionModels.ts';

const vit = copyOf('docs/examples/models/vit-mnist');
const vit5: Fixture = async (folder) => {
  await mkdir(folder, { recursive: true });
  await copyOf('test/fixtures/cases/vit-dynamo-v5/model.onnx')(path.join(folder, 'model.onnx'));
  await writeFile(path.join(folder, 'config.json'), '{ "model_type": "vit" }');
};
const sam = copyOf('docs/examples/models/sam-tiny');
const segformer = copyOf('packages/vision/fixtures/segformer');

const digits = classFolders(['0', '1', '2'], 8);
const birds = classFolders(['jay', 'wren'], 8);
const shapes: Fixture = (folder) => writeDarkShapes(folder, { count: 20, seed: 1 });
const cells = maskedPictures(10);

/** An adapter of the ViT for the classes that it has. */
export const photosAdapter: Fixture = adapterOf({
  model: vit,
  families,
  data: digits,
  task: (folder) => imageClassification(folder),
});
const birdsAdapter = adapterOf({
  model: backbone,
  families,
  data: birds,
  task: (folder) => imageClassification(folder),
});
const leavesAdapter = adapterOf({
  model: segformer,
  families,
  data: shapes,
  task: (folder) => semanticSegmentation(folder, { labels: ['background', 'leaf', 'spot'] }),
});
const cellsAdapter = adapterOf({ model: sam, families, data: cells, task: (folder) => promptableSegmentation(folder) });

export const visionFiles: Fixtures = {
  'checkpoints/vit': copyOf('packages/build/fixtures/vit-cls'),
  'models/vit': vit,
  'docs/examples/models/vit-mnist': vit,
  'models/vit-int8': int8Vit,
  'models/vit-exported-with-5': vit5,
  'models/dinov2': backbone,
  'models/detr': detr,
  'models/clip': copyOf('packages/vision/fixtures/embedding/clip-tiny'),
  'models/segformer': segformer,
  'models/sam': sam,

  photos: digits,
  withdrawn: digits,
  'never-seen': digits,
  'quickstart/images/turned': async (folder) => {
    writeDigits(path.join(folder, 'train'), { perClass: 1, turned: true });
    writeDigits(path.join(folder, 'test'), { perClass: 2, from: 1, turned: true });
    await picture(28, 28)(path.join(folder, 'test/7/00018.png'));
  },
  flowers: classFolders(['rose', 'tulip'], 8),
  products: classFolders(['cup', 'lamp', 'chair', 'shelf'], 10),
  'captions.csv': captionedPictures(['a cat', 'a dog', 'a jay', 'a cup', 'a leaf', 'a wren', 'a lamp', 'a rose']),
  streets: shapes,
  leaves: shapes,
  cells,
  'cells/annotations/instances_train.json': cocoInstances,
  'a.jpg': picture(),
  'b.jpg': picture(),
  'jay.jpg': picture(),
  'cat.jpg': picture(),
  'leaf.jpg': picture(),
  'street.jpg': picture(320, 240, 60, 115),
  'cell.png': picture(),
  'slide.png': picture(640, 480, 420, 310),

  'photos-adapter': photosAdapter,
  cats: photosAdapter,
  'runs/photos': photosAdapter,
  birds: photosAdapter,
  'cats-adapter': photosAdapter,
  'better-cats-adapter': photosAdapter,
  'birds-adapter': photosAdapter,
  'runs/cats/adapter': photosAdapter,
  'runs/birds/adapter': photosAdapter,
  'adapters/birds': birdsAdapter,
  'runs/leaves/adapter': leavesAdapter,
  'runs/cells/adapter': cellsAdapter,
  'cells-adapter': cellsAdapter,
  'pissa-adapter': async (folder) => {
    await photosAdapter(folder);
    const { config, tensors } = await loadAdapter(folder);
    await new Adapter({ ...config, initLoraWeights: 'pissa' }, tensors).save(folder, { overwrite: true });
  },
  'trained-with-4': async (folder) => {
    await vit5('vit5');
    const adapter = await loadAdapter(path.join(root, 'test/fixtures/cases/vit-dynamo-v5/adapter'));
    await inNaming(adapter, 4, await openModel('vit5', { families })).save(folder);
  },
};
