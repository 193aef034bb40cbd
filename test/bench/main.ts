/** @file `npm run bench`: times LoRA on a ViT-S/16, on request against PEFT. */

import { fileURLToPath } from 'node:url';
import type { ChildOrder } from './child.ts';
import { CHILD, childLine } from './spawn.ts';

const [first, order] = process.argv.slice(2);
if (first === CHILD) {
  const { childWork } = await import('./child.ts');
  console.log(await childLine(() => childWork(JSON.parse(order ?? '') as ChildOrder)));
} else {
  const { benchCommand } = await import('./command.ts');
  const programs = {
    self: fileURLToPath(import.meta.url),
    // The script stays among the sources; this file runs from a folder two levels below test.
    peft: fileURLToPath(new URL('../../bench/peft_on_torch.py', import.meta.url)),
    accuracy: fileURLToPath(new URL('../../bench/accuracy_on_torch.py', import.meta.url)),
    images: fileURLToPath(new URL('../../bench/images_on_pillow.py', import.meta.url)),
    sound: fileURLToPath(new URL('../../bench/features_on_transformers.py', import.meta.url)),
    detection: fileURLToPath(new URL('../../bench/detection_on_torch.py', import.meta.url)),
    promptable: fileURLToPath(new URL('../../bench/sam_on_torch.py', import.meta.url)),
    serving: fileURLToPath(new URL('../../bench/serving_on_fastapi.py', import.meta.url)),
    speech: fileURLToPath(new URL('../../bench/recognition_on_torch.py', import.meta.url)),
    transcribe: fileURLToPath(new URL('../../bench/whisper_on_torch.py', import.meta.url)),
    text: fileURLToPath(new URL('../../bench/text_on_torch.py', import.meta.url)),
    training: fileURLToPath(new URL('../../bench/training_on_torch.py', import.meta.url)),
  };
  process.exitCode = await benchCommand(process.argv.slice(2), programs, (line) => console.log(line));
}
