# SPDX-License-Identifier: GPL-3.0-or-later
# fish completion for darktable-ai
# The long options in full: --debug --configdir --cachedir --conf --version --help --help-all --help-global
# --output --output-kind --model --provider --sigma --memory --format --intent --no-dither --bit-depth --compression --quality --icc --assume-profile
# --threads --force --overwrite --skip-existing --dry-run --json --progress --remote --default --all --yes --use --strict

set -l commands denoise upscale rawdenoise mask export history thumbnail models providers runtime opencl cache prefs enable disable bench doctor
set -l profiles srgb srgb-linear adobergb adobergb-linear prophoto prophoto-linear rec2020 rec2020-linear \
    display-p3 display-p3-linear

set -l runtime_verbs show detect use reset install remove
set -l verbs list info install download update remove activate deactivate verify pack rescan

# the ids of all models that are known here; no network is used
function __darktable_ai_ids
    darktable-ai models list 2>/dev/null | tail -n +2 | string replace -r '\s.*' ''
end

# those that are installed; columns may be empty, so the status is looked for with the column behind it
function __darktable_ai_installed
    darktable-ai models list 2>/dev/null | tail -n +2 | string match -v -r ' not downloaded +repository ' | string replace -r '\s.*' ''
end

function __darktable_ai_keys
    darktable-ai prefs list 2>/dev/null | string replace -r '=.*' ''
end

complete -c darktable-ai -f

# all commands
complete -c darktable-ai -s d -l debug -x -a 'ai opencl perf pipe tiling memory all' -d 'Print diagnostics'
complete -c darktable-ai -l configdir -x -a '(__fish_complete_directories)' -d 'Settings and models live here'
complete -c darktable-ai -l cachedir -x -a '(__fish_complete_directories)' -d 'Measurements and caches live here'
complete -c darktable-ai -l conf -x -a '(__darktable_ai_keys)=' -d 'Use a setting for this run only'
complete -c darktable-ai -l version -d 'Print the version and what is built in'
complete -c darktable-ai -s h -l help -d 'Show help'
complete -c darktable-ai -n "__fish_seen_subcommand_from $commands" -l help-all -d 'Show all help options'
complete -c darktable-ai -n "__fish_seen_subcommand_from $commands" -l help-global -d 'Show the options of all commands'

# commands
complete -c darktable-ai -n "not __fish_seen_subcommand_from $commands" -a denoise -d 'Remove noise from photographs'
complete -c darktable-ai -n "not __fish_seen_subcommand_from $commands" -a upscale -d 'Enlarge photographs'
complete -c darktable-ai -n "not __fish_seen_subcommand_from $commands" -a rawdenoise -d 'Remove noise from camera raws'
complete -c darktable-ai -n "not __fish_seen_subcommand_from $commands" -a mask -d 'Mask what a click means on a photograph'
complete -c darktable-ai -n "not __fish_seen_subcommand_from $commands" -a bench -d 'Measure how fast a model is here'
complete -c darktable-ai -n "not __fish_seen_subcommand_from $commands" -a models -d 'List, install, download and choose models'
complete -c darktable-ai -n "not __fish_seen_subcommand_from $commands" -a providers -d 'Show which execution providers work here'
complete -c darktable-ai -n "not __fish_seen_subcommand_from $commands" -a export -d 'Develop raws and pictures into files'
complete -c darktable-ai -n "not __fish_seen_subcommand_from $commands" -a history -d 'Show and change what was done to photographs'
complete -c darktable-ai -n "not __fish_seen_subcommand_from $commands" -a thumbnail -d 'Make thumbnails in the cache'
complete -c darktable-ai -n "not __fish_seen_subcommand_from $commands" -a opencl -d 'Show and test the OpenCL devices'
complete -c darktable-ai -n "not __fish_seen_subcommand_from $commands" -a cache -d 'Show and clear compiled graphs, thumbnails and verdicts'
complete -c darktable-ai -n "not __fish_seen_subcommand_from $commands" -a runtime -d 'Show, find, choose and install ONNX Runtime'
complete -c darktable-ai -n "not __fish_seen_subcommand_from $commands" -a prefs -d 'Show and change settings'
complete -c darktable-ai -n "not __fish_seen_subcommand_from $commands" -a enable -d 'Switch AI features on'
complete -c darktable-ai -n "not __fish_seen_subcommand_from $commands" -a disable -d 'Switch AI features off'
complete -c darktable-ai -n "not __fish_seen_subcommand_from $commands" -a doctor -d 'Show versions, directories and what is wrong'

# denoise, upscale, rawdenoise
complete -c darktable-ai -n '__fish_seen_subcommand_from denoise upscale rawdenoise' -F
complete -c darktable-ai -n '__fish_seen_subcommand_from denoise upscale rawdenoise' -s o -l output -r -F -d 'Where to write'
complete -c darktable-ai -n '__fish_seen_subcommand_from denoise upscale rawdenoise' -l model -x -a '(__darktable_ai_installed)' -d 'Use this model'
complete -c darktable-ai -n '__fish_seen_subcommand_from denoise upscale rawdenoise' -l provider -x -a 'auto CPU CUDA MIGraphX OpenVINO CoreML DirectML WebGPU' -d 'Run on this provider or not at all'
complete -c darktable-ai -n '__fish_seen_subcommand_from denoise' -l sigma -x -d 'Noise level 1 to 255'
complete -c darktable-ai -n '__fish_seen_subcommand_from denoise' -l strength -x -d '0 to 100: below it texture returns'
complete -c darktable-ai -n '__fish_seen_subcommand_from rawdenoise' -l strength -x -d '0 to 100: below it as much of the samples as they were'
complete -c darktable-ai -n '__fish_seen_subcommand_from denoise rawdenoise' -l mask -r -F -d 'Map of the strength'
complete -c darktable-ai -n '__fish_seen_subcommand_from rawdenoise' -l output-kind -x -a 'linear cfa' -d 'What a DNG holds'
complete -c darktable-ai -n '__fish_seen_subcommand_from rawdenoise' -l format -x -a 'dng tiff exr' -d 'Format where the name does not tell it'
complete -c darktable-ai -n '__fish_seen_subcommand_from rawdenoise' -l bit-depth -x -a '16 half 32' -d 'Of a DNG 16 or half, else 16 or 32'
complete -c darktable-ai -n '__fish_seen_subcommand_from rawdenoise' -l compression -x -a 'lj92 none deflate deflate-predictor' -d 'DNG: lj92 or none; TIFF: the others'
complete -c darktable-ai -n '__fish_seen_subcommand_from upscale' -l scale -x -d 'So many times the size'
complete -c darktable-ai -n '__fish_seen_subcommand_from upscale' -l long-edge -x -d 'Pixels of the longer side'
complete -c darktable-ai -n '__fish_seen_subcommand_from upscale' -l size -x -d 'WxH to fit into'
complete -c darktable-ai -n '__fish_seen_subcommand_from denoise upscale' -l preserve-wide-gamut -d 'Keep colours outside sRGB'
complete -c darktable-ai -n '__fish_seen_subcommand_from denoise upscale' -l no-preserve-wide-gamut -d 'Clip them'
complete -c darktable-ai -n '__fish_seen_subcommand_from bench' -l task -x -a 'denoise upscale rawdenoise' -d 'Which task'
complete -c darktable-ai -n '__fish_seen_subcommand_from bench' -l megapixels -x -d 'Size of the picture'
complete -c darktable-ai -n '__fish_seen_subcommand_from bench' -l runs -x -d 'How often'
complete -c darktable-ai -n '__fish_seen_subcommand_from bench' -l compare -r -F -d 'A kept run'
complete -c darktable-ai -n '__fish_seen_subcommand_from bench' -l scale -x -a '2 4' -d 'For upscale'
complete -c darktable-ai -n '__fish_seen_subcommand_from bench' -l json -d 'Print a JSON object'
complete -c darktable-ai -n '__fish_seen_subcommand_from bench' -l model -x -a '(__darktable_ai_installed)' -d 'Use this model'
complete -c darktable-ai -n '__fish_seen_subcommand_from bench' -l memory -x -d 'Stay within this much memory'
complete -c darktable-ai -n '__fish_seen_subcommand_from bench' -l threads -x -d 'Threads for the network'
complete -c darktable-ai -n '__fish_seen_subcommand_from bench' -l provider -x -a 'auto CPU CUDA MIGraphX OpenVINO CoreML DirectML WebGPU' -d 'Run on this provider'
complete -c darktable-ai -n '__fish_seen_subcommand_from denoise upscale rawdenoise' -l memory -x -d 'Stay within this much memory'
complete -c darktable-ai -n '__fish_seen_subcommand_from denoise upscale' -l format -x -a 'tiff png jpeg exr pfm' -d 'Format where the name does not tell it'
complete -c darktable-ai -n '__fish_seen_subcommand_from denoise upscale' -l no-dither -d 'Round to 8 bits without dither'
complete -c darktable-ai -n '__fish_seen_subcommand_from denoise upscale' -l intent -x -a 'relative perceptual' -d 'For output profiles with tables'
complete -c darktable-ai -n '__fish_seen_subcommand_from denoise upscale' -l bit-depth -x -a '8 16 32' -d 'Bits per sample'
complete -c darktable-ai -n '__fish_seen_subcommand_from denoise upscale' -l compression -x -a 'none deflate deflate-predictor' -d 'TIFF compression'
complete -c darktable-ai -n '__fish_seen_subcommand_from denoise upscale' -l quality -x -d 'JPEG quality 1 to 100'
complete -c darktable-ai -n '__fish_seen_subcommand_from denoise upscale rawdenoise' -l icc -r -F -a "$profiles" -d 'Output colour profile'
complete -c darktable-ai -n '__fish_seen_subcommand_from denoise upscale' -l assume-profile -r -F -a "$profiles" -d 'Read the input with this profile'
complete -c darktable-ai -n '__fish_seen_subcommand_from denoise upscale rawdenoise' -l threads -x -d 'Threads for the network'
complete -c darktable-ai -n '__fish_seen_subcommand_from denoise upscale rawdenoise' -l force -d 'Also files that this was done to already'
complete -c darktable-ai -n '__fish_seen_subcommand_from denoise upscale rawdenoise' -l overwrite -d 'Replace existing outputs'
complete -c darktable-ai -n '__fish_seen_subcommand_from denoise upscale rawdenoise' -l skip-existing -d 'Leave existing outputs alone'
complete -c darktable-ai -n '__fish_seen_subcommand_from denoise upscale rawdenoise' -s r -l recursive -d 'Of a directory, those below it as well'
complete -c darktable-ai -n '__fish_seen_subcommand_from denoise upscale rawdenoise' -l keep-going -d 'A file that fails does not end the batch'
complete -c darktable-ai -n '__fish_seen_subcommand_from denoise upscale rawdenoise' -l fail-fast -d 'The first that fails does'
complete -c darktable-ai -n '__fish_seen_subcommand_from denoise upscale rawdenoise' -l resume -d 'Keep a journal, go on with what is not done'
complete -c darktable-ai -n '__fish_seen_subcommand_from denoise upscale rawdenoise' -l journal -r -F -d 'Keep it in this file'
complete -c darktable-ai -n '__fish_seen_subcommand_from denoise upscale rawdenoise' -l shard -x -d 'Only this part of the files, such as 1/4'
complete -c darktable-ai -n '__fish_seen_subcommand_from denoise upscale rawdenoise' -l dry-run -d 'Print the plan and write nothing'
complete -c darktable-ai -n '__fish_seen_subcommand_from denoise upscale rawdenoise' -l json -d 'Print one JSON object per file'
complete -c darktable-ai -n '__fish_seen_subcommand_from denoise upscale rawdenoise' -l progress -x -a 'auto bar plain json none' -d 'How progress is shown'

# mask
complete -c darktable-ai -n '__fish_seen_subcommand_from mask' -F
complete -c darktable-ai -n '__fish_seen_subcommand_from mask' -s p -l point -x -d 'A place on the object, or with ,- beside it'
complete -c darktable-ai -n '__fish_seen_subcommand_from mask' -s b -l box -x -d 'A box around the object'
complete -c darktable-ai -n '__fish_seen_subcommand_from mask' -l rough -r -F -d 'A rough mask to begin with'
complete -c darktable-ai -n '__fish_seen_subcommand_from mask' -l prompts -r -F -d 'Several objects, from a JSON file'
complete -c darktable-ai -n '__fish_seen_subcommand_from mask' -s o -l output -r -F -d 'A mask or its outline, or a directory'
complete -c darktable-ai -n '__fish_seen_subcommand_from mask' -l cutout -r -F -d 'The object alone'
complete -c darktable-ai -n '__fish_seen_subcommand_from mask' -l overlay -r -F -d 'A picture to look at'
complete -c darktable-ai -n '__fish_seen_subcommand_from mask' -l overlay-size -x -d 'Its longer side in pixels'
complete -c darktable-ai -n '__fish_seen_subcommand_from mask' -l candidate -x -d 'Take this answer'
complete -c darktable-ai -n '__fish_seen_subcommand_from mask' -l list-candidates -d 'Print the answers, write nothing'
complete -c darktable-ai -n '__fish_seen_subcommand_from mask' -l invert -d 'Everything but the object'
complete -c darktable-ai -n '__fish_seen_subcommand_from mask' -l raw -d 'The mask as the model has it'
complete -c darktable-ai -n '__fish_seen_subcommand_from mask' -l guided -d 'Let edges follow the photograph'
complete -c darktable-ai -n '__fish_seen_subcommand_from mask' -l no-guided -d 'Do not'
complete -c darktable-ai -n '__fish_seen_subcommand_from mask' -l holes -x -a 'all none' -d 'Fill holes up to this area'
complete -c darktable-ai -n '__fish_seen_subcommand_from mask' -l specks -x -a 'all none' -d 'Remove pieces up to this area'
complete -c darktable-ai -n '__fish_seen_subcommand_from mask' -l grow -x -d 'Move the edge outwards'
complete -c darktable-ai -n '__fish_seen_subcommand_from mask' -l feather -x -d 'Blur the edge'
complete -c darktable-ai -n '__fish_seen_subcommand_from mask' -l bit-depth -x -a '8 16 32' -d 'Bits per sample'
complete -c darktable-ai -n '__fish_seen_subcommand_from mask' -l assume-profile -r -F -a "$profiles" -d 'Read the input with this profile'
complete -c darktable-ai -n '__fish_seen_subcommand_from mask' -l model -x -a '(__darktable_ai_installed)' -d 'Use this model'
complete -c darktable-ai -n '__fish_seen_subcommand_from mask' -l provider -x -a 'auto CPU CUDA MIGraphX OpenVINO CoreML DirectML WebGPU' -d 'Encode on this provider or not at all'
complete -c darktable-ai -n '__fish_seen_subcommand_from mask' -l threads -x -d 'Threads for the network'
complete -c darktable-ai -n '__fish_seen_subcommand_from mask' -l memory -x -d 'Refuse pictures that take more'
complete -c darktable-ai -n '__fish_seen_subcommand_from mask' -l no-cache -d 'Leave the cache of encoded pictures alone'
complete -c darktable-ai -n '__fish_seen_subcommand_from mask' -l overwrite -d 'Replace existing outputs'
complete -c darktable-ai -n '__fish_seen_subcommand_from mask' -l dry-run -d 'Print the plan and write nothing'
complete -c darktable-ai -n '__fish_seen_subcommand_from mask' -l json -d 'Print one JSON object per event'
complete -c darktable-ai -n '__fish_seen_subcommand_from mask' -l progress -x -a 'auto bar plain json none' -d 'How progress is shown'

# export
complete -c darktable-ai -n '__fish_seen_subcommand_from export' -s o -l output -r -d 'A file, a directory, a pattern such as {dir}/{name}.{ext}, o'
complete -c darktable-ai -n '__fish_seen_subcommand_from export' -l format -x -d 'jpeg (the default), tiff, png, pfm or exr, where the name does not tell'
complete -c darktable-ai -n '__fish_seen_subcommand_from export' -l bit-depth -x -d '8, 16 or 32 (floating point)'
complete -c darktable-ai -n '__fish_seen_subcommand_from export' -l compression -x -d 'TIFF'
complete -c darktable-ai -n '__fish_seen_subcommand_from export' -l quality -x -d 'JPEG quality, 1 to 100'
complete -c darktable-ai -n '__fish_seen_subcommand_from export' -l profile -r -d 'Colour profile of the output'
complete -c darktable-ai -n '__fish_seen_subcommand_from export' -l assume-profile -r -d 'Read pictures with this profile instead of their own'
complete -c darktable-ai -n '__fish_seen_subcommand_from export' -l intent -x -d 'relative (the default) or perceptual'
complete -c darktable-ai -n '__fish_seen_subcommand_from export' -l no-dither -d 'Round to 8 bits without dither'
complete -c darktable-ai -n '__fish_seen_subcommand_from export' -l width -x -d 'At most so wide'
complete -c darktable-ai -n '__fish_seen_subcommand_from export' -l height -x -d 'At most so high'
complete -c darktable-ai -n '__fish_seen_subcommand_from export' -l module -x -d 'A parameter of a module, or name=on, name=off, on top of the history'
complete -c darktable-ai -n '__fish_seen_subcommand_from export' -l style -r -d 'Apply a style on top of the history'
complete -c darktable-ai -n '__fish_seen_subcommand_from export' -l history -x -d 'sidecar (the default) or none'
complete -c darktable-ai -n '__fish_seen_subcommand_from export' -l jobs -x -d 'Photographs at a time'
complete -c darktable-ai -n '__fish_seen_subcommand_from export' -l memory -x -d 'Memory for the pixels of all photographs together, e.g. 2G'
complete -c darktable-ai -n '__fish_seen_subcommand_from export' -l trace -r -d 'Write who used which device when, one JSON object a line'
complete -c darktable-ai -n '__fish_seen_subcommand_from export' -l recursive -d 'Look into directories below'
complete -c darktable-ai -n '__fish_seen_subcommand_from export' -l overwrite -d 'Replace existing outputs'
complete -c darktable-ai -n '__fish_seen_subcommand_from export' -l dry-run -d 'Print what would be written where, and write nothing'
complete -c darktable-ai -n '__fish_seen_subcommand_from export' -l json -d 'Print one JSON object per photograph'
complete -c darktable-ai -n '__fish_seen_subcommand_from export' -l progress -x -d 'As for denoise'

# history
complete -c darktable-ai -n '__fish_seen_subcommand_from history' -a 'show set reset undo redo'
complete -c darktable-ai -n '__fish_seen_subcommand_from history' -l module -x -d 'set: a parameter of a module, or name=on, name=off'
complete -c darktable-ai -n '__fish_seen_subcommand_from history' -l style -r -d 'set: a style, or the sidecar of another photograph'
complete -c darktable-ai -n '__fish_seen_subcommand_from history' -l steps -x -d 'undo, redo: how many'
complete -c darktable-ai -n '__fish_seen_subcommand_from history' -l force -d 'Also change sidecars of a newer version'
complete -c darktable-ai -n '__fish_seen_subcommand_from history' -l recursive -d 'Look into directories below'
complete -c darktable-ai -n '__fish_seen_subcommand_from history' -l dry-run -d 'Print what the history would be and write nothing'
complete -c darktable-ai -n '__fish_seen_subcommand_from history' -l json -d 'Print one JSON object per photograph'

# thumbnail
complete -c darktable-ai -n '__fish_seen_subcommand_from thumbnail' -l size -x -d 'Longer side, 16 to 2560'
complete -c darktable-ai -n '__fish_seen_subcommand_from thumbnail' -l jobs -x -d 'Photographs at a time'
complete -c darktable-ai -n '__fish_seen_subcommand_from thumbnail' -l overwrite -d 'Make those anew that are there'
complete -c darktable-ai -n '__fish_seen_subcommand_from thumbnail' -l json -d 'Print one JSON object per photograph'

# models, providers, opencl, cache, prefs
complete -c darktable-ai -n '__fish_seen_subcommand_from opencl' -a 'devices priorities test'
complete -c darktable-ai -n '__fish_seen_subcommand_from opencl' -l explain -x -d 'priorities: what this string would mean'
complete -c darktable-ai -n '__fish_seen_subcommand_from opencl' -l megapixels -x -d 'test: size of the picture'
complete -c darktable-ai -n '__fish_seen_subcommand_from opencl' -l rounds -x -d 'test: how often to measure'
complete -c darktable-ai -n '__fish_seen_subcommand_from opencl' -l trace -r -d 'test: write who used which device when'
complete -c darktable-ai -n '__fish_seen_subcommand_from cache' -a 'list clear mask opencl thumbnail'
complete -c darktable-ai -n '__fish_seen_subcommand_from models providers runtime opencl cache prefs enable disable' -l json -d 'Print JSON'
complete -c darktable-ai -n "__fish_seen_subcommand_from models; and not __fish_seen_subcommand_from $verbs" -a "$verbs"
complete -c darktable-ai -n '__fish_seen_subcommand_from models; and __fish_seen_subcommand_from info update remove activate verify' -a '(__darktable_ai_installed)'
complete -c darktable-ai -n '__fish_seen_subcommand_from models; and __fish_seen_subcommand_from download' -a '(__darktable_ai_ids)'
complete -c darktable-ai -n '__fish_seen_subcommand_from models; and __fish_seen_subcommand_from deactivate' -a 'denoise rawdenoise upscale mask'
complete -c darktable-ai -n '__fish_seen_subcommand_from models; and __fish_seen_subcommand_from install' -a '(__fish_complete_suffix .dtmodel)'
complete -c darktable-ai -n '__fish_seen_subcommand_from models; and __fish_seen_subcommand_from pack' -a '(__fish_complete_directories)'
complete -c darktable-ai -n '__fish_seen_subcommand_from models; and __fish_seen_subcommand_from list info' -l remote -d 'Ask the repository what it offers'
complete -c darktable-ai -n '__fish_seen_subcommand_from models; and __fish_seen_subcommand_from download' -l default -d 'The recommended model of every task'
complete -c darktable-ai -n '__fish_seen_subcommand_from models; and __fish_seen_subcommand_from download' -l all -d 'Everything the repository offers'
complete -c darktable-ai -n '__fish_seen_subcommand_from models; and __fish_seen_subcommand_from download update' -l dry-run -d 'Only say what would be done'
complete -c darktable-ai -n '__fish_seen_subcommand_from models; and __fish_seen_subcommand_from pack' -s o -l output -r -F -d 'The package to write'
complete -c darktable-ai -n '__fish_seen_subcommand_from models; and __fish_seen_subcommand_from pack' -l overwrite -d 'Replace an existing package'
complete -c darktable-ai -n '__fish_seen_subcommand_from models' -l progress -x -a 'auto bar plain json none' -d 'How progress is shown'
complete -c darktable-ai -n "__fish_seen_subcommand_from runtime; and not __fish_seen_subcommand_from $runtime_verbs" -a "$runtime_verbs"
complete -c darktable-ai -n '__fish_seen_subcommand_from runtime; and __fish_seen_subcommand_from use' -F
complete -c darktable-ai -n '__fish_seen_subcommand_from runtime; and __fish_seen_subcommand_from install' -a 'cuda12 cuda13 migraphx rocm openvino webgpu'
complete -c darktable-ai -n '__fish_seen_subcommand_from runtime; and __fish_seen_subcommand_from remove' -a 'cuda migraphx rocm openvino webgpu'
complete -c darktable-ai -n '__fish_seen_subcommand_from runtime; and __fish_seen_subcommand_from install' -s y -l yes -d 'Install what is suggested'
complete -c darktable-ai -n '__fish_seen_subcommand_from runtime; and __fish_seen_subcommand_from install' -l use -d 'Use it from now on'
complete -c darktable-ai -n '__fish_seen_subcommand_from runtime; and __fish_seen_subcommand_from install' -l strict -d 'Not without the system libraries it needs'
complete -c darktable-ai -n '__fish_seen_subcommand_from runtime; and __fish_seen_subcommand_from install' -l dry-run -d 'Only say what would be done'
complete -c darktable-ai -n '__fish_seen_subcommand_from runtime; and __fish_seen_subcommand_from install' -l progress -x -a 'auto bar plain json none' -d 'How progress is shown'
complete -c darktable-ai -n '__fish_seen_subcommand_from prefs; and not __fish_seen_subcommand_from list get set reset' -a 'list get set reset'
complete -c darktable-ai -n '__fish_seen_subcommand_from prefs; and __fish_seen_subcommand_from get set reset' -a '(__darktable_ai_keys)'
