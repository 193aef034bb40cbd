/** @file The pages of the examples. */

import { exampleNames, examplePage } from '../.vitepress/examples.ts';

export default {
  paths(): { params: { name: string }; content: string }[] {
    return exampleNames().map((name) => ({ params: { name }, content: examplePage(name) }));
  },
};
