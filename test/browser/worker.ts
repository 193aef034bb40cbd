/** @file The worker of the page: trains where onnxruntime-web runs, and answers with results and the adapter's files. */

import { downloadFiles, fileBytes, fileNames, keepFolder } from '@onnx-lora/sdk/page';
import * as ort from 'onnxruntime-web';
import { learnDigits, type Lesson } from './learnDigits.ts';

interface Order extends Lesson {
  readonly model: string;
  readonly threads: number;
}

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

async function answer({ model, threads, ...order }: Order): Promise<unknown> {
  ort.env.wasm.wasmPaths = new URL('/ort/', worker.location.href).href;
  ort.env.wasm.numThreads = threads;
  await downloadFiles(model, '/model', ['config.json', 'preprocessor_config.json', 'onnx/model.onnx']);
  const kept = order.checkpoints === undefined ? undefined : await keepFolder(order.checkpoints);
  const learned = await learnDigits('/model', '/out', order, (step) => worker.postMessage({ step }));
  await kept?.release();
  const files = Object.fromEntries(
    fileNames('/out/adapter').map((name) => [name, [...fileBytes(`/out/adapter/${name}`)]]),
  );
  return { ...learned, files };
}
