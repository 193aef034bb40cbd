/** @file The task `promptable-segmentation`: trains SAM. */

import { type Feeds, float32, int64, OnnxLoraError, stack } from '@onnx-lora/sdk';
import { type Batch, checkedTask, type PreparedTask, type Task, type TaskModel } from '@onnx-lora/sdk/tasks';
import { settingsOf } from '@onnx-lora/sdk/plugin';
import { type Augmentation, augmentSetting } from '../../augment/augment.ts';
import { dataSettings } from '../../data/manifest.ts';
import type { Box, ImageDataOptions, ImageSource, Point } from '../../data/imageRecord.ts';
import { readImageData } from '../../data/readImageData.ts';
import { maskToInput } from '../../preprocess/geometry.ts';
import { type ImageReading, type ImageTask, imageTask } from '../imageTask.ts';
import {
  packMasks,
  PromptableMetrics,
  type PromptableScores,
  OUTSIDE,
  promptableLoss,
  type PromptableLoss,
} from './promptableLoss.ts';
import { type MaskChoice, openSamImages, samPorts } from './samPorts.ts';
import { PromptableDataset, type PromptableExample } from './promptableDataset.ts';
import { promptableReport } from './promptableReport.ts';
import { promptFeeds } from './prompt.ts';
import { promptableSegmenter, type PromptableSegmenterOptions } from './promptableSegmenter.ts';
import { promptOptions, type PromptOptions } from './promptSampling.ts';

/** Options of {@link promptableSegmentation}. */
export interface PromptableSegmentationOptions extends ImageDataOptions, ImageReading {
  /** Kinds of prompts; one point by default. */
  readonly prompts?: PromptOptions;
  /** Answers per prompt; `several` by default. */
  readonly masks?: MaskChoice | undefined;
  /** Weights of the loss; 20 parts focal loss, one Dice, one estimated IoU by default, as in SAM. */
  readonly loss?: PromptableLoss;
  /**
   * Prompts per image in an example; 1 by default. They share the encoder's work, which dominates. More objects make
   * more examples; fewer are repeated with other prompts.
   */
  readonly objectsPerImage?: number;
  /** Augmentations of training images; none by default. */
  readonly augment?: readonly Augmentation[] | undefined;
}

const counts = { kind: 'number', whole: true, min: 0 } as const;

const settings = settingsOf<PromptableSegmentationOptions & PromptableSegmenterOptions>({
  masks: {
    kind: 'choice',
    of: ['several', 'one'],
    description: 'several (default): one per meaning of a prompt; one: a single mask.',
  },
  loss: {
    kind: 'choice',
    of: ['sam', 'bce'],
    to: (loss) => (loss === 'bce' ? { bce: 1 } : {}),
    description: 'sam (default): focal, Dice and IoU; bce: cross-entropy, Dice and IoU.',
  },
  prompts: {
    points: { name: 'promptPoints', ...counts, description: 'Points on the object in training; 1 by default.' },
    negativePoints: { ...counts, description: 'Points beside the object in training; 0 by default.' },
    box: { name: 'promptBox', kind: 'flag', description: 'Prompt with a box in training.' },
  },
  objectsPerImage: {
    ...counts,
    min: 1,
    description: 'Objects of an image asked for at once; 1 by default.',
  },
  augment: augmentSetting,
  prompt: {
    points: {
      kind: 'text',
      to: (text) => listOf(text, (point) => numbersIn<Point>(point, 2)),
      must: 'points of 2 numbers, such as 40,30;90,80',
      description: 'To predict: points of one object in pixels, x,y;x,y.',
    },
    labels: {
      kind: 'text',
      to: (text) => listOf(text, (label) => signs.get(label.trim())),
      must: '1 or 0 for each point, such as 1;0',
      description: 'For each point 1 (on the object) or 0 (not on it); all 1 by default: 1;0.',
    },
    box: {
      kind: 'text',
      to: (text) => numbersIn<Box>(text, 4),
      must: '4 numbers with commas between, such as 40,30,90,80',
      description: 'To predict: a box around the object in pixels, left,upper,right,lower.',
    },
  },
  ...dataSettings,
});

const signs: ReadonlyMap<string, 0 | 1> = new Map([
  ['0', 0],
  ['1', 1],
]);

/** A list between semicolons; undefined if an item is invalid. */
function listOf<Item>(text: string, read: (part: string) => Item | undefined): readonly Item[] | undefined {
  const items = text.split(';').map(read);
  return items.every((item) => item !== undefined) ? items : undefined;
}

function numbersIn<Numbers extends Point | Box>(text: string, count: Numbers['length']): Numbers | undefined {
  const found = text.split(',').map((each) => (each.trim() === '' ? NaN : Number(each)));
  return found.length === count && found.every(Number.isFinite) ? (found as unknown as Numbers) : undefined;
}

/**
 * Promptable segmentation: from an image and a prompt to the object's mask. The data have a mask per image (optionally
 * with points: columns x and y of a manifest), or outlines of many objects as in COCO. Other prompts are sampled from
 * the masks.
 * @example
 * ```ts
 * const model = await openModel('models/sam', { families: visionFamilies });
 * const run = await train(model, { task: promptableSegmentation('cells', { objectsPerImage: 8 }), batchSize: 2 });
 * ```
 */
export function promptableSegmentation(
  source: ImageSource,
  options: PromptableSegmentationOptions = {},
): Task<PromptableExample, PromptableScores> {
  return checkedTask(settings, options, {
    name: 'promptable-segmentation',
    prepare: (model) => prepare(model, source, options),
  });
}

/** The task `promptable-segmentation`. */
export const promptableSegmentationTask: ImageTask = imageTask({
  name: 'promptable-segmentation',
  description:
    'The mask of what a point or a box means (SAM); the data is images with masks, or a COCO file of outlined objects.',
  settings,
  task: promptableSegmentation,
  processor: async (model, { prompt, masks, decoder, preprocessors }) => {
    if (prompt?.points || prompt?.box) return promptableSegmenter(model, { prompt, masks, decoder, preprocessors });
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      'Say which object is meant: --set points=x,y with a point on it, or --set box=left,upper,right,lower.',
    );
  },
});

async function prepare(
  model: TaskModel,
  source: ImageSource,
  options: PromptableSegmentationOptions,
): Promise<PreparedTask<PromptableExample, PromptableScores>> {
  const { loss, objectsPerImage = 1, augment = [], seed = 0 } = options;
  const ports = samPorts(model, options.masks);
  const prompts = promptOptions(options.prompts ?? {}, ports, model.name);
  const { images: loader, decoder, preprocessor } = await openSamImages(model, options);
  const data = await readImageData(source, options);
  const promptInputs = [ports.points, ports.labels, ports.boxes].filter((name) => name !== undefined);
  const shared = { loader, prompts, promptInputs, augment, objectsPerImage, seed };
  const train = new PromptableDataset(data.train, shared);
  const validation = data.validation && new PromptableDataset(data.validation, shared);
  const numbers = new Map<string, number>();
  const numberOf = (file: string): number => {
    if (!numbers.has(file)) numbers.set(file, numbers.size);
    return numbers.get(file)!;
  };
  const collate = async (examples: readonly PromptableExample[]): Promise<Batch> => {
    const prompted = examples.map((each) => each.prompts);
    const images = { [ports.pixels]: stack(examples.map(({ pixels }) => pixels)) };
    return {
      inputs: { ...images, ...promptFeeds(prompted, ports, model.name) },
      targets: targetsOf(examples, numberOf),
    };
  };
  const isPadded = preprocessor.plan.pad !== undefined;
  return {
    train,
    ...(validation && { validation }),
    ...(data.warnings && { warnings: data.warnings }),
    outputs: ports.inner,
    collate,
    loss: (g, outputs, targets) =>
      promptableLoss(
        g,
        { masks: outputs[ports.masks]!, scores: outputs[ports.scores]!, isSingle: ports.isSingle },
        { truth: targets['truth']!, weights: targets['weights']! },
        loss,
      ),
    lossWeight: ({ weights }) => (weights!.data as Float32Array).reduce((sum, each) => sum + each, 0),
    metrics: () => new PromptableMetrics(ports, preprocessor.plan),
    ...(validation && {
      report: (request) => promptableReport(request, { dataset: validation, collate, ports, isPadded, decoder }),
    }),
  };
}

/** `truth` and `weights` of the loss; for evaluation also `bits` and `sizes` of the masks, and image numbers. */
function targetsOf(examples: readonly PromptableExample[], numberOf: (file: string) => number): Feeds {
  const truths = examples.map(({ geometry, masks }) =>
    masks.map((mask) => maskToInput(geometry, { ...mask, outside: 255 })),
  );
  const { height, width } = truths[0]![0]!;
  const [batch, each] = [examples.length, truths[0]!.length];
  const truth = new Float32Array(batch * each * height * width);
  truths.flat().forEach(({ data }, k) => {
    const start = k * height * width;
    for (let i = 0; i < data.length; i++) truth[start + i] = data[i] === 255 ? OUTSIDE : data[i]!;
  });
  return {
    truth: float32(truth, [batch, each, height, width]),
    weights: float32(
      examples.flatMap(({ weights }) => weights),
      [batch, each],
    ),
    ...(examples.every(({ isMeasured }) => isMeasured) && {
      ...packMasks(examples.map(({ masks }) => masks)),
      images: int64(
        examples.map(({ file }) => numberOf(file)),
        [batch],
      ),
    }),
  };
}
