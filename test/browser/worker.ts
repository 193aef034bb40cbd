/** @file The worker of the page: trains where onnxruntime-web runs, and answers with results and the adapter's files. */

import { downloadFiles, fileBytes, fileNames, keepFolder, putFolder, putZip, zipFolder } from '@onnx-lora/sdk/page';
import { ImageFileDecoder } from '@onnx-lora/vision';
import * as ort from 'onnxruntime-web';
import { learnDigits, type Lesson } from './learnDigits.ts';
import { learnImages } from './learnImages.ts';
import { learnTexts } from './learnTexts.ts';

/** A file that the user picked. */
type Picked = Blob & { readonly name: string };

interface Orders {
  /** Learn digits that are given as numbers. */
  readonly digits: Lesson;
  /** Learn from picked images. */
  readonly images: { readonly steps: number; readonly asked: string };
  /** Learn from a picked table. */
  readonly texts: { readonly steps: number };
  /** Decode picked images. */
  readonly decode: object;
}

type Order = {
  [Kind in keyof Orders]: {
    readonly kind: Kind;
    readonly threads: number;
    readonly picked?: readonly Picked[];
  } & Orders[Kind];
}[keyof Orders];

const worker = globalThis as unknown as {
  addEventListener(type: 'message', listener: (event: { readonly data: Order }) => void): void;
  postMessage(answer: unknown): void;
  readonly location: { readonly href: string };
};

worker.addEventListener('message', (event) => {
  void answer(event.data).then(
    (learned) => worker.postMessage(learned),
    (error: Error) => worker.postMessage({ error: `${error.message}\n${error.stack}` }),
  );
});

async function answer({ threads, picked = [], ...order }: Order): Promise<unknown> {
  ort.env.wasm.wasmPaths = new URL('/ort/', worker.location.href).href;
  ort.env.wasm.numThreads = threads;
  if (order.kind === 'decode') return decoded(picked);
  if (order.kind === 'texts') {
    await downloadFiles('/texts', '/model', [
      'config.json',
      'tokenizer.json',
      'tokenizer_config.json',
      'onnx/model.onnx',
    ]);
    await putFolder('/tables', picked);
    return learnTexts('/model', `/tables/${picked[0]!.name}`, '/out/adapter', order.steps);
  }
  await downloadFiles('/model', '/model', ['config.json', 'preprocessor_config.json', 'onnx/model.onnx']);
  await putFolder('/images', picked);
  if (order.kind === 'images') {
    const learned = await learnImages('/model', '/images', '/out/adapter', order);
    return { ...learned, files: filesOf('/out/adapter') };
  }
  const kept = order.checkpoints === undefined ? undefined : await keepFolder(order.checkpoints);
  const learned = await learnDigits('/model', '/out', order, (step) => worker.postMessage({ step }));
  await kept?.release();
  // The way of an adapter to another page.
  putZip('/again', zipFolder('/out/adapter'));
  return { ...learned, files: filesOf('/again') };
}

function filesOf(folder: string): Record<string, number[]> {
  return Object.fromEntries(fileNames(folder).map((name) => [name, [...fileBytes(`${folder}/${name}`)]]));
}

/** Pixels of images, or why there are none. */
async function decoded(picked: readonly Picked[]): Promise<Record<string, unknown>> {
  const decoder = new ImageFileDecoder();
  const answers = picked.map(async (file) => {
    const bytes = new Uint8Array(await file.arrayBuffer());
    const image = await decoder.decode(bytes).catch((error: Error) => error.message);
    return [file.name, typeof image === 'string' ? image : { ...image, data: [...image.data] }] as const;
  });
  return Object.fromEntries(await Promise.all(answers));
}
