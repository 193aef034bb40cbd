/** @file The page of the architectures is what can be built. `npx vitest run docs/architectures.test.ts -u` writes it. */

import { fileURLToPath } from 'node:url';
import { architectures } from '@onnx-lora/build';
import { expect, test } from 'vitest';
import { format, resolveConfig } from 'prettier';

const file = fileURLToPath(new URL('reference/architectures.md', import.meta.url));

test('the page is up to date', async () => {
  const rows = architectures
    .map(
      ({ modelType, classes }) =>
        `| \`${modelType}\` | ${Object.keys(classes)
          .map((name) => `\`${name}\``)
          .join(', ')} |`,
    ) // prettier-ignore
    .sort();
  const page = `---
title: Architectures
order: 45
---

# Architectures

What [is built from a checkpoint](../guides/build.md): by \`model_type\` of \`config.json\`, and the classes that its \`architectures\` may name. Where it names none, the first of a row is built.

| \`model_type\` | classes |
| --- | --- |
${rows.join('\n')}
`;
  const formatted = await format(page, { ...(await resolveConfig(file)), parser: 'markdown' });
  await expect(formatted).toMatchFileSnapshot(file);
});
