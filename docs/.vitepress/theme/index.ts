/** @file VitePress's default theme with colours and a home page of our own. */

/// <reference types="vite/client" />

import DefaultTheme from 'vitepress/theme';
import './style.css';

export default DefaultTheme;
