#compdef darktable-ai
# SPDX-License-Identifier: GPL-3.0-or-later
# zsh completion for darktable-ai; install as _darktable-ai in a directory of $fpath

local -a global help_options commands profiles own picture
global=(
  '*'{-d+,--debug=}'[print diagnostics]:topic:(ai opencl perf pipe tiling memory all)'
  '--configdir=[settings and models live here]:directory:_files -/'
  '--cachedir=[measurements and caches live here]:directory:_files -/'
  '*--conf=[use a setting for this run only]:KEY=VALUE:_darktable_ai_keys -S ='
  '--version[print the version and what is built in]'
  '(-h --help)'{-h,--help}'[show help]'
)
help_options=(
  '--help-all[show all help options]'
  '--help-global[show the options of all commands]'
)
commands=(
  'denoise:remove noise from photographs'
  'upscale:enlarge photographs'
  'rawdenoise:remove noise from camera raws'
  'mask:mask what a click means on a photograph'
  'models:list, install, download and choose models'
  'providers:show which execution providers work here'
  'runtime:show, find, choose and install ONNX Runtime'
  'export:develop raws and pictures into files'
  'history:show and change what was done to photographs'
  'thumbnail:make thumbnails in the cache'
  'opencl:show and test the OpenCL devices'
  'cache:show and clear compiled graphs, thumbnails and verdicts'
  'prefs:show and change settings'
  'enable:switch AI features on'
  'disable:switch AI features off'
  'bench:measure how fast a model is here'
  'doctor:show versions, directories and what is wrong'
)
profiles=(srgb srgb-linear adobergb adobergb-linear prophoto prophoto-linear rec2020 rec2020-linear
  display-p3 display-p3-linear)

# the ids of all models that are known here; no network is used
_darktable_ai_ids() {
  local -a ids
  ids=(${(f)"$(darktable-ai models list 2>/dev/null | awk 'NR > 1 { print $1 }')"})
  compadd "$@" -a ids
}

# those that are installed; columns may be empty, so the status is looked for with the column behind it
_darktable_ai_installed() {
  local -a ids
  ids=(${(f)"$(darktable-ai models list 2>/dev/null |
    awk 'NR > 1 && !/ not downloaded +repository / { print $1 }')"})
  compadd "$@" -a ids
}

_darktable_ai_models_operand() {
  case $line[1] in
    info | activate | remove | verify | update) _darktable_ai_installed "$@" ;;
    download) _darktable_ai_ids "$@" ;;
    deactivate) compadd "$@" denoise rawdenoise upscale mask ;;
    install) _files -g '*.dtmodel' ;;
    pack) _files -/ ;;
    *) _message 'no more arguments' ;;
  esac
}

_darktable_ai_runtime_operand() {
  case $line[1] in
    use) _files ;;
    install) compadd "$@" cuda12 cuda13 migraphx rocm openvino webgpu ;;
    remove) compadd "$@" cuda migraphx rocm openvino webgpu ;;
    *) _message 'no more arguments' ;;
  esac
}

_darktable_ai_keys() {
  local -a keys
  keys=(${(f)"$(darktable-ai prefs list 2>/dev/null | cut -d= -f1)"})
  compadd "$@" -a keys
}

_darktable_ai_profiles() {
  _alternative 'names:profile:compadd -a profiles' 'files:ICC file:_files'
}

local curcontext=$curcontext state line
typeset -A opt_args
_arguments -C -S $global '1:command:->command' '*::argument:->argument' && return

case $state in
  command) _describe -t commands 'command' commands ;;
  argument)
    curcontext="${curcontext%:*}-$words[1]:"
    case $words[1] in
      denoise|upscale|rawdenoise)
        picture=('(--no-preserve-wide-gamut)--preserve-wide-gamut[keep colours outside sRGB]'
          '(--preserve-wide-gamut)--no-preserve-wide-gamut[clip them]'
          '--format=[format where the name does not tell it]:format:(tiff png jpeg exr pfm)'
          '--no-dither[round to 8 bits without dither]'
          '--intent=[for output profiles with tables]:intent:(relative perceptual)'
          '--bit-depth=[bits per sample]:bits:(8 16 32)'
          '--compression=[TIFF compression]:compression:(none deflate deflate-predictor)'
          '--quality=[JPEG quality 1 to 100]:quality:'
          '--assume-profile=[read the input with this profile]:profile:_darktable_ai_profiles')
        case $words[1] in
          upscale)
            own=($picture '(--long-edge --size)--scale=[so many times the size]:factor:'
              '(--scale --size)--long-edge=[pixels of the longer side]:pixels:'
              '(--scale --long-edge)--size=[as large as fits into this]:WxH:')
            ;;
          denoise)
            own=($picture '--strength=[0 to 100: below it texture returns]:strength:'
              '--mask=[map of the strength]:file:_files'
              '--sigma=[noise level 1 to 255, for models that take one]:level:')
            ;;
          rawdenoise)
            own=('--strength=[0 to 100: below it as much of the samples as they were]:strength:'
              '--mask=[map of the strength]:file:_files'
              '--output-kind=[what a DNG holds]:kind:(linear cfa)'
              '--format=[format where the name does not tell it]:format:(dng tiff exr)'
              '--bit-depth=[of a DNG 16 or half, else 16 or 32]:bits:(16 half 32)'
              '--compression=[DNG\: lj92 or none; TIFF\: the others]:compression:(lj92 none deflate deflate-predictor)')
            ;;
        esac
        _arguments -S $global $help_options $own \
          '(-o --output)'{-o+,--output=}'[where to write]:file or directory:_files' \
          '--model=[use this model instead of the active one]:model:_darktable_ai_installed' \
          '--provider=[run on this execution provider or not at all]:provider:(auto CPU CUDA MIGraphX OpenVINO CoreML DirectML WebGPU)' \
          '--memory=[stay within this much memory]:size:' \
          '--icc=[output colour profile]:profile:_darktable_ai_profiles' \
          '--threads=[threads for the network]:number:' \
          '--force[also files that this was done to already]' \
          '(--skip-existing)--overwrite[replace existing outputs]' \
          '(--overwrite)--skip-existing[leave existing outputs alone]' \
          '(-r --recursive)'{-r,--recursive}'[of a directory, those below it as well]' \
          '(--fail-fast)--keep-going[a file that fails does not end the batch]' \
          '(--keep-going)--fail-fast[the first that fails does]' \
          '--resume[keep a journal, go on with what is not done]' \
          '--journal=[keep it in this file]:file:_files' \
          '--shard=[only this part of the files]:part, such as 1/4:' \
          '--dry-run[print the plan and write nothing]' \
          '--json[print one JSON object per file]' \
          '--progress=[how progress is shown]:mode:(auto bar plain json none)' \
          '*:photograph:_files'
        ;;
      mask)
        _arguments -S $global $help_options \
          '*'{-p+,--point=}'[a place on the object, or with ,- behind it beside it]:X,Y[,-]:' \
          '*'{-b+,--box=}'[a box around the object]:X,Y,X,Y:' \
          '--rough=[a rough mask to begin with]:file:_files' \
          '--prompts=[several objects]:JSON file:_files -g "*.json"' \
          '*'{-o+,--output=}'[a mask or its outline, or a directory]:file:_files' \
          '*--cutout=[the object alone]:file:_files' \
          '--overlay=[a picture to look at]:file:_files' \
          '--overlay-size=[its longer side]:pixels:' \
          '--candidate=[take this answer]:number:' \
          '--list-candidates[print the answers, write nothing]' \
          '--invert[everything but the object]' \
          '(--guided --holes --specks --grow --feather)--raw[the mask as the model has it]' \
          '(--no-guided --raw)--guided[let edges follow the photograph]' \
          '(--guided)--no-guided[do not]' \
          '(--raw)--holes=[fill holes up to]:area:(all none)' \
          '(--raw)--specks=[remove pieces up to]:area:(all none)' \
          '(--raw)--grow=[move the edge outwards]:pixels:' \
          '(--raw)--feather=[blur the edge]:pixels:' \
          '--bit-depth=[bits per sample]:bits:(8 16 32)' \
          '--assume-profile=[read the input with this profile]:profile:_darktable_ai_profiles' \
          '--model=[use this model instead of the active one]:model:_darktable_ai_installed' \
          '--provider=[encode on this execution provider or not at all]:provider:(auto CPU CUDA MIGraphX OpenVINO CoreML DirectML WebGPU)' \
          '--threads=[threads for the network]:number:' \
          '--memory=[refuse pictures that take more]:size:' \
          '--no-cache[leave the cache of encoded pictures alone]' \
          '--overwrite[replace existing outputs]' \
          '--dry-run[print the plan and write nothing]' \
          '--json[print one JSON object per event]' \
          '--progress=[how progress is shown]:mode:(auto bar plain json none)' \
          '1:photograph:_files'
        ;;
      bench)
        _arguments -S $global $help_options \
          '--task=[which task]:task:(denoise upscale)' \
          '--model=[use this model]:model:_darktable_ai_installed' \
          '--provider=[run on this execution provider]:provider:(auto CPU CUDA MIGraphX OpenVINO CoreML DirectML WebGPU)' \
          '--scale=[upscale: factor]:factor:(2 4)' '--megapixels=[size of the picture]:size:' \
          '--runs=[how often]:number:' '--memory=[stay within this much memory]:size:' \
          '--threads=[threads for the network]:number:' '--json[print a JSON object]' \
          '--compare=[a kept run]:file:_files'
        ;;
      models)
        _arguments -S $global $help_options \
          '--json[print one JSON object per model]' \
          '--remote[list, info: ask the repository what it offers]' \
          '(--all)--default[download: the recommended model of every task]' \
          '(--default)--all[download: everything the repository offers]' \
          '--dry-run[download, update: only say what would be done]' \
          '(-o --output)'{-o+,--output=}'[pack: the package to write]:file:_files' \
          '--overwrite[pack: replace an existing package]' \
          '--progress=[how progress is shown]:mode:(auto bar plain json none)' \
          '1:what:(list info install download update remove activate deactivate verify pack rescan)' \
          '*:operand:_darktable_ai_models_operand'
        ;;
      providers)
        _arguments -S $global $help_options '--json[print one JSON object per provider]'
        ;;
      runtime)
        _arguments -S $global $help_options \
          '--json[print JSON objects]' \
          '(-y --yes)'{-y,--yes}'[install: what is suggested]' \
          '--use[install: use it from now on]' \
          '--strict[install: not without the system libraries it needs]' \
          '--dry-run[install: only say what would be done]' \
          '--progress=[how progress is shown]:mode:(auto bar plain json none)' \
          '1:what:(show detect use reset install remove)' \
          '2:operand:_darktable_ai_runtime_operand'
        ;;
      export)
        _arguments -S $global $help_options \
          '(-o --output)'{-o+,--output=}'[A file, a directory, a pattern such as {dir}/{name}.{ext}, o]:path:_files' \
          '--format=[jpeg (the default), tiff, png, pfm or exr, where the name does not tell]:f:' \
          '--bit-depth=[8, 16 or 32 (floating point)]:n:' \
          '--compression=[TIFF]:c:' \
          '--quality=[JPEG quality, 1 to 100]:q:' \
          '--profile=[Colour profile of the output]:profile:_files' \
          '--assume-profile=[Read pictures with this profile instead of their own]:profile:_files' \
          '--intent=[relative (the default) or perceptual]:i:' \
          '--no-dither[Round to 8 bits without dither]' \
          '--width=[At most so wide]:pixels:' \
          '--height=[At most so high]:pixels:' \
          '*--module=[A parameter of a module, or name=on, name=off, on top of the history]:setting:' \
          '--style=[Apply a style on top of the history]:file:_files' \
          '--history=[sidecar (the default) or none]:h:' \
          '--jobs=[Photographs at a time]:n:' \
          '--memory=[Memory for the pixels of all photographs together, e.g. 2G]:size:' \
          '--trace=[Write who used which device when, one JSON object a line]:file:_files' \
          '--recursive[Look into directories below]' \
          '--overwrite[Replace existing outputs]' \
          '--dry-run[Print what would be written where, and write nothing]' \
          '--json[Print one JSON object per photograph]' \
          '--progress=[As for denoise]:mode:' \
          '*:photograph:_files'
        ;;
      history)
        _arguments -S $global $help_options \
          '*--module=[set: a parameter of a module, or name=on, name=off]:setting:' \
          '--style=[set: a style, or the sidecar of another photograph]:file:_files' \
          '--steps=[undo, redo: how many]:number:' \
          '--force[also change sidecars of a newer version]' \
          '--recursive[look into directories below]' \
          '--dry-run[print what the history would be and write nothing]' \
          '--json[print one JSON object per photograph]' \
          '1:what:(show set reset undo redo)' \
          '*:photograph:_files'
        ;;
      thumbnail)
        _arguments -S $global $help_options \
          '--size=[Longer side, 16 to 2560]:pixels:' \
          '--jobs=[Photographs at a time]:n:' \
          '--overwrite[Make those anew that are there]' \
          '--json[Print one JSON object per photograph]' \
          '*:photograph:_files'
        ;;
      opencl)
        _arguments -S $global $help_options '--json[print JSON, one object a line]' \
          '--explain=[priorities: what this string would mean]:string:' \
          '--megapixels=[test: size of the picture]:megapixels:' \
          '--rounds=[test: how often to measure]:number:' \
          '--trace=[test: write who used which device when]:file:_files' \
          '1:what:(devices priorities test)'
        ;;
      cache)
        _arguments -S $global $help_options '--json[print one JSON object per entry]' '1:what:(list clear)' '2:provider, model, mask, opencl or thumbnail:(mask opencl thumbnail)'
        ;;
      prefs)
        _arguments -S $global $help_options '--json[print one JSON object per setting]' \
          '1:what:(list get set reset)' \
          '2:setting:_darktable_ai_keys' '3:value:'
        ;;
      enable|disable)
        _arguments -S $global $help_options '--json[print the setting as a JSON object]'
        ;;
      *) _arguments -S $global $help_options ;;
    esac
    ;;
esac
