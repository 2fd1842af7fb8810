import { serve } from "/suite/channel.js";

serve(() => import("/page/testee.js"));
